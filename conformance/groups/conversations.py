"""Conversations: the durable object that turns are added to."""

from typing import Any

from conformance.events import last_response, shown_text
from conformance.registry import check
from conformance.server import SHORT, Server, input_tokens, text_of
from conformance.verdicts import NoKey, offered, refusal, require

NO_SUCH_ID = "conv_00000000000000000000000000000000000000000000000000"


def said_by(item: Any) -> str:
    """Return the text of a message item, all parts joined."""
    return "".join(getattr(part, "text", "") for part in getattr(item, "content", None) or [])


@check("conversations", "create and read")
async def create(server: Server) -> str:
    """A new conversation has an id, a time and its metadata, and reads back equal.

    Documented: API reference, Conversations, Create, Retrieve.
    """
    made = await server.conversation(metadata={"topic": "demo"})
    require(made.to_dict().get("object") == "conversation", f"{made.to_dict()}")
    require(isinstance(made.created_at, int), f"created_at is {made.created_at!r}")
    require(made.metadata == {"topic": "demo"}, f"metadata is {made.metadata}")
    kept = await offered(server.client.conversations.retrieve(made.id))
    require(kept.to_dict() == made.to_dict(), "it reads back differently")
    return "equal"


@check("conversations", "create with items")
async def create_with_items(server: Server) -> str:
    """Up to 20 first items are stored in order; 21 are refused.

    Documented: API reference, Conversations, Create, items.
    """
    items = [{"type": "message", "role": "user", "content": f"({n})"} for n in range(21)]
    made = await server.conversation(items=items[:20])
    said = [said_by(item) for item in await server.items(made.id)]
    require(said == [f"({n})" for n in range(20)], f"{len(said)} items, or out of order")
    await refusal(server.client.conversations.create(items=items), 400)  # type: ignore[arg-type]
    return "20 in order, 21 refused"


@check("conversations", "metadata is updated and bounded")
async def metadata(server: Server) -> str:
    """An update sets metadata; 17 pairs, a key of 65 or a value of 513 is 400.

    Documented: API reference, Conversations, Update, metadata.
    """
    made = await server.conversation(metadata={"a": "1"})
    update = server.client.conversations.update
    said = await offered(update(made.id, metadata={"b": "2"}))
    kept_or_not = ({"b": "2"}, {"a": "1", "b": "2"})  # OpenAI does not say which
    require(said.metadata in kept_or_not, f"after the update it is {said.metadata}")
    many = {f"k{number}": "v" for number in range(17)}
    wrong: dict[str, Any] = {
        "17 pairs": many,
        "a key of 65": {"k" * 65: "v"},
        "a value of 513": {"k": "v" * 513},
        "a number as value": {"k": 1},
    }
    for what, value in wrong.items():
        await refusal(update(made.id, metadata=value), 400, what=what)
    kept = await server.client.conversations.retrieve(made.id)
    require(kept.metadata == said.metadata, f"a refused update left {kept.metadata}")
    return f"{said.metadata}; {len(wrong)} violations, 400 each"


@check("conversations", "delete")
async def delete(server: Server) -> str:
    """A deleted conversation says so; then it, its items and turns in it are refused.

    Documented: API reference, Conversations, Delete.
    """
    made = await server.conversation()
    said = await offered(server.client.conversations.delete(made.id))
    require(said.deleted is True and said.id == made.id, f"{said.to_dict()}")
    require(said.object == "conversation.deleted", f"object is {said.object!r}")
    await refusal(server.client.conversations.retrieve(made.id), 404)
    await refusal(server.client.conversations.items.list(made.id), 404)
    await refusal(server.respond(conversation=made.id), 400, 404)
    return "deleted, then refused"


@check("conversations", "an unknown id is 404 in every call")
async def unknown(server: Server) -> str:
    """Each call on a conversation that is not there, or on its items, answers 404.

    Documented: API reference, Conversations.
    """
    made = await server.conversation()
    await offered(server.client.conversations.retrieve(made.id))
    await _nothing_there(server, server, NO_SUCH_ID, "msg_" + "0" * 50)
    return "7 calls, 404 each"


async def _nothing_there(server: Server, asking: Any, conversation: str, item: str) -> None:
    """Raise Failed unless every call on this conversation is 404 for the asking client."""
    there = asking.client.conversations
    new: Any = [{"type": "message", "role": "user", "content": SHORT}]
    await refusal(there.retrieve(conversation), 404)
    await refusal(there.update(conversation, metadata={}), 404)
    await refusal(there.items.list(conversation), 404)
    await refusal(there.items.create(conversation, items=new), 404)
    await refusal(there.items.retrieve(item, conversation_id=conversation), 404)
    await refusal(there.items.delete(item, conversation_id=conversation), 404)
    await refusal(there.delete(conversation), 404)


@check("conversations", "another key's things are 404")
async def stranger(server: Server) -> str:
    """With another person's key a conversation and its responses look as if they were not.

    Needs --stranger-key, a key of another user or tenant.
    Documented: guides, Your data (isolation between projects).
    """
    if not server.target.stranger_key:
        raise NoKey("no --stranger-key")
    made = await server.conversation()
    response = await server.respond(conversation=made.id)
    item = (await server.items(made.id))[0].id
    other = server.client_with(server.target.stranger_key)
    async with other:
        asking = type("Asking", (), {"client": other})
        await _nothing_there(server, asking, made.id, str(item))
        await refusal(other.responses.retrieve(response.id), 404)
        call = other.responses.create(model=server.model, input=SHORT, conversation=made.id)
        await refusal(call, 400, 404)
    require(len(await server.items(made.id)) == 2, "the stranger changed something")
    return "9 calls refused, nothing changed"


@check("conversations", "a turn adds its pair")
async def turn(server: Server) -> str:
    """A turn adds what was said and what was answered, in this order, as it was shown.

    Documented: guides, Conversation state, Conversations API.
    """
    made = await server.conversation()
    events = await offered(server.stream("Say hello. (first)", conversation=made.id))
    final = last_response(events)
    require(final.conversation and final.conversation.id == made.id, f"{final.conversation}")
    items = await server.items(made.id)
    roles = [getattr(item, "role", item.type) for item in items if item.type != "reasoning"]
    require(roles == ["user", "assistant"], f"{roles}")
    require(said_by(items[0]) == "Say hello. (first)", "what was said is stored differently")
    require(said_by(items[-1]) == shown_text(events), "the answer is stored differently")
    return "user, assistant; equal to the stream"


@check("conversations", "a turn sees all before it")
async def history(server: Server) -> str:
    """Each turn reads the turns before it, whether the conversation comes as text or object.

    Documented: guides, Conversation state, Conversations API.
    """
    made = await server.conversation()
    forms: tuple[Any, ...] = (made.id, {"id": made.id}, made.id)
    read = [input_tokens(await server.respond(conversation=form)) for form in forms]
    require(read[0] < read[1] < read[2], f"the same question read {read} tokens")
    return f"{read} tokens read"


@check("conversations", "an echo of the history")
async def echoed(server: Server) -> str:
    """The model is given every earlier message whole and in order.

    Needs --echo-model, a model that answers with the messages it was given.
    Documented: guides, Conversation state, Conversations API.
    """
    if not server.target.echo_model:
        raise NoKey("no --echo-model")
    made = await server.conversation()
    said = [f"({number}) remember this" for number in range(3)]
    for text in said[:2]:
        await server.respond(text, conversation=made.id)
    response = await server.client.responses.create(
        model=server.target.echo_model, input=said[2], conversation=made.id
    )
    heard = text_of(response)
    places = [heard.find(text) for text in said]
    require(-1 not in places and places == sorted(places), f"found at {places}")
    return "3 of 3 in order"
