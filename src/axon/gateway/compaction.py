"""`POST /v1/responses/compact`: a summary in place of a long input."""

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import ConversationNotFound, TurnNotFound
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.responses import previous_not_found, read_request
from axon.gateway.stored_responses import PREFIX
from axon.turns import usage_json

ITEM_PREFIX = "cmp"


async def compact_input(door: Door, call: Call) -> None:
    """Answer with the user's messages and a compaction item: an input for the next response."""
    body, fields = await call.fields(door.options.body_bytes_max)
    given = fields.get("input")
    empty = given is None or bytes(given) == b"null"
    if empty:
        fields = {**fields, "input": msgspec.Raw(b'""')}
    request = read_request(door, call, body, fields)
    if empty:
        request = msgspec.structs.replace(request, items=())
    try:
        compacted = await door.turns.compact(request)
    except (TurnNotFound, ConversationNotFound):
        raise previous_not_found(str(request.previous_response_id)) from None
    org_id, user = request.org_id, request.user
    response_id = door.mint.mint(PREFIX, org_id, user)
    item_id = door.mint.mint(ITEM_PREFIX, org_id, user)
    summary = b'{"id":%b,%b' % (msgspec.json.encode(item_id), compacted.item[1:])
    messages = (_with_id(door, message, org_id, user) for message in compacted.messages)
    output = b",".join([*messages, summary])
    created_s = door.clock.now_us() // MICROS_PER_SECOND
    await call.reply_json(
        b'{"id":%b,"object":"response.compaction","created_at":%d,"output":[%b],"usage":%b}'
        % (msgspec.json.encode(response_id), created_s, output, usage_json(compacted.usage))
    )


def _with_id(door: Door, message: bytes, org_id: str, user: int) -> bytes:
    members = msgspec.json.decode(message, type=dict[str, msgspec.Raw])
    if "id" not in members:
        minted = door.mint.mint("msg", org_id, user)
        members = {"id": msgspec.Raw(msgspec.json.encode(minted)), **members}
    return msgspec.json.encode(members)
