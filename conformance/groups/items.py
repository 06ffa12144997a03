"""The items of a conversation: added, listed by pages, read, deleted."""

from typing import Any

from conformance.groups.conversations import said_by
from conformance.registry import check
from conformance.server import Server, input_tokens
from conformance.verdicts import offered, refusal, require

_COUNT = 25
"""More than a default page of 20, so that the default shows."""


def _messages(count: int, text: str = "({})") -> Any:
    content = [[{"type": "input_text", "text": text.format(number)}] for number in range(count)]
    return [{"type": "message", "role": "user", "content": parts} for parts in content]


async def _filled(server: Server, count: int = _COUNT) -> str:
    """Return a conversation of `count` messages "(0)", "(1)" ..., the oldest first."""
    made = await server.conversation()
    messages = _messages(count)
    for start in range(0, count, 20):
        part = messages[start : start + 20]
        await offered(server.client.conversations.items.create(made.id, items=part))
    return made.id


@check("items", "add")
async def add(server: Server) -> str:
    """Up to 20 items are added in order and come back with ids; 21 are refused whole.

    Documented: API reference, Conversations, Items, Create.
    """
    made = await server.conversation()
    create = server.client.conversations.items.create
    added = await offered(create(made.id, items=_messages(20)))
    require(len(added.data) == 20, f"{len(added.data)} came back")
    require(len({item.id for item in added.data}) == 20, "ids are missing or double")
    require([said_by(item) for item in added.data] == [f"({n})" for n in range(20)], "order")
    await refusal(create(made.id, items=_messages(21)), 400)
    require(len(await server.items(made.id)) == 20, "the refused call stored something")
    return "20 in order, 21 refused"


@check("items", "list: order and page size")
async def listed(server: Server) -> str:
    """The list is newest first with 20 on a page unless asked, and says where it ends.

    Documented: API reference, Conversations, Items, List.
    """
    conversation = await _filled(server)
    read = server.client.conversations.items.list
    page = await offered(read(conversation))
    newest = [f"({n})" for n in range(_COUNT)][::-1]
    require(len(page.data) == 20, f"{len(page.data)} items on a page, where 20 is the default")
    require([said_by(item) for item in page.data] == newest[:20], "not the newest first")
    body: Any = page.to_dict()
    require(body.get("object") == "list", f"object is {body.get('object')!r}")
    require(page.has_more is True, f"has_more is {page.has_more!r}")
    require(body.get("first_id") == page.data[0].id, "first_id is not the first")
    require(body.get("last_id") == page.data[-1].id, "last_id is not the last")
    oldest = await read(conversation, order="asc", limit=100)
    require([said_by(item) for item in oldest.data] == newest[::-1], "ascending differs")
    require(oldest.has_more is False, f"has_more is {oldest.has_more!r} at the end")
    return f"20 of {_COUNT}, then the end"


@check("items", "list: pages lose and repeat nothing")
async def paged(server: Server) -> str:
    """Pages of any size, in both orders, add up to the whole list.

    Documented: API reference, Conversations, Items, List, after.
    """
    conversation = await _filled(server)
    read = server.client.conversations.items.list
    whole = [item.id for item in await server.items(conversation)]
    require(len(whole) == _COUNT, f"{len(whole)} items of {_COUNT}")
    for size in (1, 7, 25):
        ascending = [item.id async for item in read(conversation, order="asc", limit=size)]
        require(ascending == whole, f"pages of {size} ascending: {len(ascending)} items")
    descending = [item.id async for item in read(conversation, limit=7)]
    require(descending == whole[::-1], f"pages of 7 descending: {len(descending)} items")
    return f"{_COUNT} items by pages of 1, 7, 25"


@check("items", "list: bounds")
async def bounds(server: Server) -> str:
    """A limit outside 1 to 100, a wrong order and an unknown `after` are refused.

    Documented: API reference, Conversations, Items, List, limit.
    """
    conversation = await _filled(server, 3)
    read = server.client.conversations.items.list
    wrong: tuple[dict[str, Any], ...] = ({"limit": 0}, {"limit": 101}, {"order": "up"})
    for query in wrong:
        await refusal(read(conversation, **query), 400, what=str(query))
    await refusal(read(conversation, after="msg_" + "0" * 50), 400, 404, what="an unknown after")
    return "4 violations refused"


@check("items", "read one")
async def retrieve(server: Server) -> str:
    """An item reads alone as it stands in the list; one that is not there is 404.

    Documented: API reference, Conversations, Items, Retrieve.
    """
    conversation = await _filled(server, 2)
    item = (await server.items(conversation))[0]
    read = server.client.conversations.items.retrieve
    one = await offered(read(str(item.id), conversation_id=conversation))
    require(one.to_dict() == item.to_dict(), "it differs from the list's")
    await refusal(read("msg_" + "0" * 50, conversation_id=conversation), 404)
    return "equal to the list's"


@check("items", "delete one")
async def delete(server: Server) -> str:
    """Deleting an item answers with the conversation; the item is gone, the others stay.

    Documented: API reference, Conversations, Items, Delete.
    """
    conversation = await _filled(server, 3)
    ids = [str(item.id) for item in await server.items(conversation)]
    remove = server.client.conversations.items.delete
    said = await offered(remove(ids[1], conversation_id=conversation))
    require(said.to_dict().get("object") == "conversation", f"{said.to_dict()}")
    require(said.id == conversation, "another conversation")
    left = [item.id for item in await server.items(conversation)]
    require(left == [ids[0], ids[2]], f"{len(left)} items are left")
    read = server.client.conversations.items.retrieve
    await refusal(read(ids[1], conversation_id=conversation), 404)
    return "2 of 3 left"


@check("items", "added items are read, deleted ones are not")
async def seen_by_the_model(server: Server) -> str:
    """An item added by hand is part of the next turn's history, and no more once deleted.

    "Delete this message" must also make the model forget it.
    Documented: guides, Conversation state, Conversations API.
    """
    read = []
    for delete_it in (False, True):
        made = await server.conversation()
        added = await offered(
            server.client.conversations.items.create(made.id, items=_messages(1, "word " * 50))
        )
        if delete_it:
            item = str(added.data[0].id)
            await offered(server.client.conversations.items.delete(item, conversation_id=made.id))
        read.append(input_tokens(await server.respond(conversation=made.id)))
    alone = input_tokens(await server.respond())
    require(read[0] > alone, f"an added item is not read: {read[0]} tokens, {alone} without")
    require(read[1] < read[0], f"a deleted item is still read: {read[1]} tokens")
    return f"{alone} alone, {read[0]} with it, {read[1]} after its deletion"
