"""What a response was asked with: `GET /v1/responses/{id}/input_items`, and how long it would be.

`POST /v1/responses/input_tokens` takes the body of `POST /v1/responses`.
"""

import msgspec

from axon.conversations import ConversationNotFound, StoredTurn, TurnNotFound
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import required
from axon.gateway.pages import page_json, page_limit, page_order
from axon.gateway.problem import not_found
from axon.gateway.references import with_references
from axon.gateway.responses import previous_not_found, read_request
from axon.gateway.stored_responses import find_response
from axon.turns import RunningTurn


async def list_input_items(door: Door, call: Call, response_id: str) -> None:
    """List the items a response was asked with, newest first."""
    query = call.query()
    limit, order = page_limit(query), page_order(query)
    items = _items(await find_response(door, call, response_id))
    if order == "desc":
        items.reverse()
    after = query.get("after") or None
    if after is not None:
        places = [place for place, item in enumerate(items) if item[0] == after]
        if not places:
            raise not_found(f"Item with id '{after}' not found.")
        items = items[places[0] + 1 :]
    page = items[:limit]
    body = page_json(
        [content for _, content in page], [name for name, _ in page], len(items) > limit
    )
    await call.reply_json(body)


def _items(turn: RunningTurn | StoredTurn) -> list[tuple[str, bytes]]:
    """Return the id and the JSON of each item the response was asked with, in order."""
    if isinstance(turn, StoredTurn):
        return [(item.item_id, item.content) for item in turn.input]
    names = [item.item_id for item in turn.input]
    return list(zip(names, turn.contents, strict=True))


async def count_input_tokens(door: Door, call: Call) -> None:
    """Answer with the number of model tokens a response's input would have; asks no model."""
    body, fields = await call.fields(door.options.body_bytes_max)
    given = fields.get("input")
    empty = given is None or bytes(given) == b"null"
    if empty:
        fields = {**fields, "input": msgspec.Raw(b'""')}
    fields = await with_references(door, call, fields)
    request = read_request(door, call, body, fields)
    if empty:
        if request.conversation_id is None and request.previous_response_id is None:
            required({}, "input", str)
        request = msgspec.structs.replace(request, items=())
    try:
        count = await door.turns.count_input(request)
    except TurnNotFound:
        raise previous_not_found(str(request.previous_response_id)) from None
    except ConversationNotFound:
        if request.conversation_id is None:
            raise previous_not_found(str(request.previous_response_id)) from None
        raise not_found(f"Conversation with id '{request.conversation_id}' not found.") from None
    counted = {"input_tokens": count.tokens, "counted_by": count.counted_by}
    await call.reply_value({"object": "response.input_tokens", **counted})
