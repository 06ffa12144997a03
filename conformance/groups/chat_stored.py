"""Stored chat completions: `store=true`, and the five calls on what was stored."""

from typing import Any

from openai.types.chat import ChatCompletion

from conformance.registry import check
from conformance.server import BRIEF, SHORT, Server
from conformance.unique import unique
from conformance.verdicts import offered, refusal, require, until

_VISIBLE_WITHIN_S = 10.0
"""OpenAI's list is eventually consistent; a later completion may need a moment to be listed."""


def _messages(said: str = SHORT) -> Any:
    return [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": said}]


async def store_one(server: Server, **more: Any) -> ChatCompletion:
    """Store one completion and return it once it can be read; raises Refused if it never can."""
    create: Any = server.client.chat.completions.create
    made: ChatCompletion = await offered(
        create(
            model=server.model,
            messages=_messages(),
            max_completion_tokens=BRIEF,
            store=True,
            **more,
        )
    )
    await offered(server.client.chat.completions.retrieve(made.id))
    return made


@check("stored chat", "read back")
async def read_back(server: Server) -> str:
    """A completion made with store=true can be read by its id and says the same.

    Documented: API reference, Chat Completions, Retrieve.
    """
    made = await store_one(server)
    kept = await offered(server.client.chat.completions.retrieve(made.id))
    require(kept.id == made.id and kept.object == "chat.completion", f"{kept.id}, {kept.object}")
    said, read = made.choices[0].message.content, kept.choices[0].message.content
    require(said == read, f"{len(said or '')} characters were said, {len(read or '')} kept")
    require(kept.usage == made.usage, "the usage differs")
    return "equal"


@check("stored chat", "nothing is stored unasked")
async def not_stored(server: Server) -> str:
    """Without store=true a completion cannot be read back.

    Documented: API reference, Chat Completions, Create, store.
    """
    await store_one(server)
    messages = _messages()
    made = await server.client.chat.completions.create(
        model=server.model, messages=messages, max_completion_tokens=BRIEF, store=False
    )
    await refusal(server.client.chat.completions.retrieve(made.id), 404)
    return "404"


@check("stored chat", "a stream is stored too")
async def streamed(server: Server) -> str:
    """A streamed completion with store=true is kept as it was shown.

    Documented: API reference, Chat Completions, Create, store.
    """
    messages = _messages()
    stream = await offered(
        server.client.chat.completions.create(
            model=server.model,
            messages=messages,
            max_completion_tokens=BRIEF,
            store=True,
            stream=True,
        )
    )
    shown, found = "", ""
    async with stream:
        async for chunk in stream:
            found = chunk.id
            shown += "".join(choice.delta.content or "" for choice in chunk.choices)
    kept = await offered(server.client.chat.completions.retrieve(found))
    require(kept.choices[0].message.content == shown, "the stored text is not the shown one")
    return f"{len(shown)} characters, equal"


@check("stored chat", "list, filter, page")
async def listed(server: Server) -> str:
    """The list filters by metadata and model, pages with after and limit, in both orders.

    Documented: API reference, Chat Completions, List.
    """
    mark = {"conformance": unique()}
    made = [(await store_one(server, metadata=mark)).id for _ in range(3)]
    completions = server.client.chat.completions

    async def all_listed() -> list[str] | None:
        page = await offered(completions.list(metadata=mark, order="asc"))
        return found if len(found := [one.id for one in page.data]) >= len(made) else None

    found = await until(all_listed, _VISIBLE_WITHIN_S, "the list does not show all three")
    require(found == made, "the filtered list differs or is out of order")
    descending = [one.id async for one in completions.list(metadata=mark, order="desc", limit=1)]
    require(descending == made[::-1], f"{len(descending)} by pages of one, descending")
    other = await completions.list(metadata=mark, model="no-such-model-0")
    require(other.data == [], "another model's filter finds them")
    return "3 of 3 in both orders, by pages"


@check("stored chat", "messages")
async def messages(server: Server) -> str:
    """The messages of the request are listed with ids, in order, by pages.

    Documented: API reference, Chat Completions, Messages.
    """
    made = await store_one(server)
    read = server.client.chat.completions.messages.list
    found = [message async for message in await offered_pages(read(made.id, limit=1))]
    require(len(found) == 2, f"{len(found)} messages of 2")
    require(all(message.id for message in found), "a message has no id")
    require(len({message.id for message in found}) == 2, "two messages have one id")
    require(found[1].content == SHORT, f"the second says {found[1].content!r}")
    return "2 of 2, by pages of one"


async def offered_pages(pages: Any) -> Any:
    """Return the pages after their first one was answered; raises Refused where there is none."""
    await offered(pages)
    return pages


@check("stored chat", "metadata can be updated")
async def update(server: Server) -> str:
    """Metadata given at creation is kept, and can be updated.

    Products hang their own ids and labels on it.
    Documented: API reference, Chat Completions, Update.
    """
    made = await store_one(server, metadata={"a": "1"})
    first = await offered(server.client.chat.completions.retrieve(made.id))
    require(first.to_dict().get("metadata") == {"a": "1"}, f"{first.to_dict().get('metadata')}")
    await offered(server.client.chat.completions.update(made.id, metadata={"b": "2"}))
    kept = await server.client.chat.completions.retrieve(made.id)
    said: Any = kept.to_dict().get("metadata")
    kept_or_not = ({"b": "2"}, {"a": "1", "b": "2"})  # OpenAI does not say which
    require(said in kept_or_not, f"after the update it is {said}")
    return f"{said}"


@check("stored chat", "delete")
async def delete(server: Server) -> str:
    """A deleted completion says so and is 404 afterwards.

    Documented: API reference, Chat Completions, Delete.
    """
    made = await store_one(server)
    said = await offered(server.client.chat.completions.delete(made.id))
    require(said.deleted is True and said.id == made.id, f"{said.to_dict()}")
    require(said.object == "chat.completion.deleted", f"object is {said.object!r}")
    await refusal(server.client.chat.completions.retrieve(made.id), 404)
    return "deleted, then 404"
