"""Engines that misbehave: each fault has a defined outcome, and what is stored says the same."""

import openai
import pytest
from openai import OpenAI

from tests.promises.reading import Said, read_conversation

MODEL = "fake-model"


@pytest.mark.failure("engine", "lying")
@pytest.mark.parametrize("fault", ["same_id", "duplicate", "split", "stale", "no_done"])
def test_faults_that_harm_nothing(client: OpenAI, fault: str) -> None:
    conversation = client.conversations.create()
    text = f"[[text:one two three]][[chunks:3]][[delay_ms:2]][[fault:{fault}]]"
    expected = "one two three"
    for _ in range(2):
        events = list(
            client.responses.create(
                model=MODEL, input=text, conversation=conversation.id, stream=True
            )
        )
        assert events[-1].type == "response.completed"
        said = events[-1].response.output_text
        if fault == "duplicate":  # no sequence number tells a repeated chunk from a repeated word
            assert said == "one one two two threethree"
            expected = said
        assert said == expected
    stored = read_conversation(client, conversation.id)
    assert [author for author, _, _ in stored] == ["user", "assistant"] * 2
    assert {body for author, _, body in stored if author == "assistant"} == {expected}


@pytest.mark.failure("engine", "corrupt")
@pytest.mark.parametrize("fault", ["early_close", "broken_json", "broken_chunk", "error_midway"])
def test_an_answer_that_breaks_off_is_failed_and_kept_as_far_as_it_came(
    client: OpenAI, fault: str
) -> None:
    conversation = client.conversations.create()
    text = f"[[text:one two three four]][[chunks:20]][[delay_ms:2]][[fault:{fault}]]"
    events = list(
        client.responses.create(model=MODEL, input=text, conversation=conversation.id, stream=True)
    )
    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    shown = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert shown and "one two three four".startswith(shown)
    question, answer = read_conversation(client, conversation.id)
    assert question.author == "user"
    assert answer == Said("assistant", "incomplete", shown)
    stored = client.responses.retrieve(last.response.id)
    assert stored.status == "failed"
    assert stored.output_text == shown


@pytest.mark.failure("upstream", "wrong-password")
@pytest.mark.failure("engine", "refusing")
@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("500", openai.InternalServerError, 502),
        ("429", openai.RateLimitError, 429),
        ("400", openai.BadRequestError, 400),
        ("401", openai.InternalServerError, 502),
        ("close", openai.InternalServerError, 502),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_engine_that_fails_before_it_speaks_leaves_the_conversation_as_it_was(
    client: OpenAI, fault: str, error: type[openai.APIStatusError], status: int, streamed: bool
) -> None:
    conversation = client.conversations.create()
    with pytest.raises(error) as caught:
        client.responses.create(
            model=MODEL,
            input=f"[[fault:{fault}]]",
            conversation=conversation.id,
            stream=streamed,
        )
    assert caught.value.status_code == status
    assert read_conversation(client, conversation.id) == []
    client.responses.create(model=MODEL, input="[[text:on]]", conversation=conversation.id)
    assert len(read_conversation(client, conversation.id)) == 2
