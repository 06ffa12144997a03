"""Stored chat completions through the official SDK: five calls, as acknowledged at once."""

import openai
import pytest
from openai import OpenAI

from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
Message = openai.types.chat.ChatCompletionMessageParam


def ask(text: str) -> list[Message]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def stored(client: OpenAI, text: str, **metadata: str) -> openai.types.chat.ChatCompletion:
    return client.chat.completions.create(
        model=MODEL, messages=ask(text), store=True, metadata=metadata
    )


def test_a_stored_completion_is_found_as_it_was_answered(client: OpenAI) -> None:
    made = stored(client, "[[text:keep me]]", topic="a")
    found = client.chat.completions.retrieve(made.id)
    assert found.metadata == {"topic": "a"}
    shown = found.model_dump()
    assert shown == {**shown, **made.model_dump(), "metadata": {"topic": "a"}}
    assert shown["temperature"] is None and shown["input_user"] is None


def test_a_streamed_one_is_put_together(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=ask("[[text:one two three]]"), store=True, stream=True, temperature=0
    )
    made = next(iter(stream)).id
    list(stream)
    found = client.chat.completions.retrieve(made)
    assert found.choices[0].message.content == "one two three"
    assert found.model_extra is not None and found.model_extra["temperature"] == 0


def test_what_was_not_stored_is_not_there(client: OpenAI) -> None:
    made = client.chat.completions.create(model=MODEL, messages=ask("hi"))
    for call in (
        lambda: client.chat.completions.retrieve(made.id),
        lambda: client.chat.completions.delete(made.id),
        lambda: client.chat.completions.update(made.id, metadata={}),
        lambda: client.chat.completions.messages.list(made.id),
        lambda: client.chat.completions.retrieve("chatcmpl_" + "0" * 50),
        lambda: client.chat.completions.retrieve("chatcmpl-of-openai"),
    ):
        with pytest.raises(openai.NotFoundError) as caught:
            call()
        assert caught.value.response.json()["error"]["type"] == "invalid_request_error"


def test_metadata_is_replaced_and_the_completion_forgotten(client: OpenAI) -> None:
    made = stored(client, "[[text:x]]", topic="before", other="o")
    changed = client.chat.completions.update(made.id, metadata={"topic": "after"})
    assert changed.metadata == {"topic": "after"}
    found = client.chat.completions.retrieve(made.id)
    assert found.model_dump() == changed.model_dump()
    gone = client.chat.completions.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "chat.completion.deleted", True)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.delete(made.id)


def test_the_list_is_filtered_and_paged_in_both_orders(client: OpenAI) -> None:
    made = [stored(client, f"[[text:{n}]]", run="list", n=str(n % 2)).id for n in range(5)]
    pick = {"run": "list"}
    assert [one.id for one in client.chat.completions.list(metadata=pick)] == made
    newest = client.chat.completions.list(metadata=pick, order="desc", limit=2)
    assert [one.id for one in newest.data] == made[:2:-1] and newest.has_more
    assert [one.id for one in newest] == made[::-1]
    odd = client.chat.completions.list(metadata={"run": "list", "n": "1"})
    assert [one.id for one in odd] == made[1::2]
    rest = client.chat.completions.list(metadata=pick, after=made[3])
    assert [one.id for one in rest.data] == made[4:] and not rest.has_more
    assert client.chat.completions.list(metadata=pick, model="another").data == []
    client.chat.completions.delete(made[0])
    client.chat.completions.update(made[1], metadata={})
    assert [one.id for one in client.chat.completions.list(metadata=pick)] == made[2:]


def test_the_messages_it_answered_are_listed(client: OpenAI) -> None:
    parts: list[Message] = [
        {"role": "system", "content": "Look."},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "[[text:a cat]]"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
        {"role": "user", "content": "And now?"},
    ]
    made = client.chat.completions.create(model=MODEL, messages=parts, store=True)
    first = client.chat.completions.messages.list(made.id, limit=2)
    assert first.has_more and first.data[0].content == "Look."
    assert first.data[1].content is None
    shown = first.data[1].content_parts
    assert shown is not None and [part.type for part in shown] == ["text", "image_url"]
    every = list(client.chat.completions.messages.list(made.id, limit=2))
    assert [one.content for one in every] == ["Look.", None, "And now?"]
    newest = client.chat.completions.messages.list(made.id, order="desc")
    assert [one.id for one in newest.data] == [one.id for one in every][::-1]


def test_a_retry_is_the_same_stored_completion(client: OpenAI) -> None:
    key = {"idempotency-key": "store-once"}
    made = [
        client.chat.completions.create(
            model=MODEL,
            messages=ask("[[text:hi]]"),
            store=True,
            metadata={"run": "retry"},
            extra_headers=key,
        )
        for _ in range(2)
    ]
    assert made[0].id == made[1].id
    assert [one.id for one in client.chat.completions.list(metadata={"run": "retry"})] == [
        made[0].id
    ]


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("/chat/completions?limit=0", 400, "limit"),
        ("/chat/completions?limit=101", 400, "limit"),
        ("/chat/completions?order=up", 400, "order"),
        ("/chat/completions?after=nothing", 404, None),
        ("/chat/completions?model=%00", 400, "model"),
        ("/chat/completions?metadata[k]=%00", 400, "metadata"),
    ],
)
def test_bad_lists(client: OpenAI, path: str, status: int, param: str | None) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.get(path, cast_to=object)
    error = caught.value.response.json()["error"]
    assert (caught.value.status_code, error["param"]) == (status, param)


def test_bad_changes(client: OpenAI) -> None:
    made = stored(client, "[[text:x]]")
    path = f"/chat/completions/{made.id}"
    bodies: list[dict[str, object]] = [{}, {"metadata": 1}, {"metadata": {"k": "v" * 513}}]
    for body in bodies:
        with pytest.raises(openai.BadRequestError) as caught:
            client.post(path, cast_to=object, body=body)
        assert caught.value.param == "metadata"
    with pytest.raises(openai.BadRequestError) as caught:
        client.get(path + "/messages?after=no", cast_to=object)
    assert caught.value.param == "after"


def test_what_nobody_reads_is_given_back_as_it_was_sent(client: OpenAI) -> None:
    odd = b'[1e400,99999999999999999999,"x"]'
    body = b'{"model":"m","store":true,"messages":[{"role":"user","content":"x","odd":%b}]}' % odd
    made = client.post("/chat/completions", cast_to=openai.types.chat.ChatCompletion, content=body)
    shown = client.chat.completions.messages.with_raw_response.list(made.id)
    assert odd in shown.content


def test_a_person_sees_their_own_only(client: OpenAI, axon: RunningAxon) -> None:
    others = stored(client, "[[text:x]]", run="tenants")
    body = {"user": "zoe"}
    minted: dict[str, str] = client.post("/user_passes", cast_to=dict, body=body)
    with OpenAI(base_url=axon.base_url, api_key=minted["value"], max_retries=0) as zoe:
        hers = stored(zoe, "[[text:y]]", run="tenants")
        assert [one.id for one in zoe.chat.completions.list()] == [hers.id]
        for call in (
            lambda: zoe.chat.completions.retrieve(others.id),
            lambda: zoe.chat.completions.delete(others.id),
            lambda: zoe.chat.completions.update(others.id, metadata={}),
            lambda: zoe.chat.completions.messages.list(others.id),
        ):
            with pytest.raises(openai.NotFoundError):
                call()
        as_another = zoe.chat.completions.list(extra_query={"user": "yan"})
        assert [one.id for one in as_another] == [hers.id]
    assert client.chat.completions.retrieve(hers.id).id == hers.id
    named = client.chat.completions.list(extra_query={"user": "zoe"})
    assert [one.id for one in named] == [hers.id]
    pick = {"run": "tenants"}
    assert [one.id for one in client.chat.completions.list(metadata=pick)] == [others.id]
