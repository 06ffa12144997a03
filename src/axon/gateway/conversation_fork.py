"""`POST /v1/conversations/{id}/fork`: go on from an earlier point, and keep what came after."""

from axon.conversations import ForkCutsCall, ForkTooLarge
from axon.gateway.call import Call
from axon.gateway.conversation_object import Missing, owner_of, shown
from axon.gateway.door import Door
from axon.gateway.members import member, metadata
from axon.gateway.problem import refuse
from axon.turns import Fields


async def fork_conversation(door: Door, call: Call, conversation_id: str) -> None:
    """Make a new conversation that begins with a copy of this one, up to `item_id`."""
    body = await call.body(door.options.body_bytes_max)
    fields: Fields = call.read_fields(body) if body.strip() else {}
    owner = owner_of(door, call, conversation_id)
    item_id = member(fields, "item_id", str)
    pairs = metadata(fields)
    try:
        with Missing(conversation_id, item_id):
            made = await door.conversations.changing.fork(
                owner, call.caller.credential_id, conversation_id, item_id, pairs
            )
    except ForkTooLarge as error:
        raise refuse(str(error), param="item_id", code="fork_too_large") from error
    except ForkCutsCall as error:
        raise refuse(str(error), param="item_id", code="fork_cuts_call") from error
    await call.reply_value(shown(made))
