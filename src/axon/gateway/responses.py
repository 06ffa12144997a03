"""`/v1/responses`: create, get, delete."""

import msgspec

from axon.base import UnknownId
from axon.conversations import ConversationNotFound, NewItem, StoredTurn, TurnNotFound
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.items import from_json, from_text
from axon.gateway.members import (
    RESPONSES_MEMBERS,
    ConversationName,
    check,
    member,
    metadata,
    required,
)
from axon.gateway.problems import not_found, refuse
from axon.turns import Fields, TurnRequest

PREFIX = "resp"


async def create_response(door: Door, call: Call) -> None:
    """Take a turn and answer with a response."""
    body, fields = await call.fields(door.options.body_bytes_max)
    request = read_request(door, call, body, fields)
    try:
        await door.answer_turn(call, request)
    except TurnNotFound:
        raise previous_not_found(str(request.previous_response_id)) from None
    except ConversationNotFound:
        if request.conversation_id is None:
            raise previous_not_found(str(request.previous_response_id)) from None
        raise not_found(f"Conversation with id '{request.conversation_id}' not found.") from None


def read_request(door: Door, call: Call, body: bytes, fields: Fields) -> TurnRequest:
    """Return what the client asked for; raise RequestRefused for what it cannot mean."""
    model = required(fields, "model", str)
    items = _input(fields)
    check(fields, RESPONSES_MEMBERS)
    metadata(fields)
    if member(fields, "background", bool):
        message = "Background responses are not supported yet; leave 'background' out."
        raise refuse(message, param="background", code="unsupported_parameter")
    conversation_id = _conversation(fields)
    previous = member(fields, "previous_response_id", str)
    if conversation_id is not None and previous is not None:
        message = (
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. "
            "Give one of them."
        )
        raise refuse(message, code="mutually_exclusive_parameters")
    user = _user(door, call, fields, conversation_id, previous)
    truncation = member(fields, "truncation", str) or "disabled"
    if truncation not in ("auto", "disabled"):
        message = f"Invalid value for 'truncation': {truncation!r}; use 'auto' or 'disabled'."
        raise refuse(message, param="truncation", code="invalid_value")
    cap = member(fields, "max_output_tokens", int)
    stored = member(fields, "store", bool)
    return TurnRequest(
        org_id=call.caller.org_id,
        user=user,
        credential_id=call.caller.credential_id,
        surface="responses",
        model=model,
        streamed=member(fields, "stream", bool) or False,
        stored=stored is not False,
        body=body,
        fields=fields,
        items=items,
        instructions=member(fields, "instructions", str),
        conversation_id=conversation_id,
        previous_response_id=previous,
        truncate=truncation == "auto",
        output_tokens_max=cap,
        idempotency_key=call.header(b"idempotency-key"),
        attempt=door.attempt(call),
    )


def _input(fields: Fields) -> tuple[NewItem, ...]:
    raw = fields.get("input")
    if raw is None or bytes(raw) == b"null":
        required(fields, "input", str)
        return ()
    if bytes(raw)[:1] == b'"':
        return (from_text(msgspec.json.decode(raw, type=str)),)
    items = from_json(raw, "input")
    if not items:
        raise refuse("Invalid 'input': it is empty.", param="input", code="empty_array")
    return items


def _conversation(fields: Fields) -> str | None:
    raw = fields.get("conversation")
    if raw is not None and bytes(raw)[:1] == b"{":
        return required(fields, "conversation", ConversationName).id
    return member(fields, "conversation", str)


def _user(
    door: Door, call: Call, fields: Fields, conversation_id: str | None, previous: str | None
) -> int:
    """Return the person: the owner of what is continued, else whom the request names."""
    try:
        if conversation_id is not None:
            return door.owner(call, conversation_id, "conv", fields).user
        if previous is not None:
            return door.owner(call, previous, PREFIX, fields).user
    except UnknownId:
        if conversation_id is not None:
            raise not_found(f"Conversation with id '{conversation_id}' not found.") from None
        raise previous_not_found(str(previous)) from None
    return door.subject(call, fields)


def previous_not_found(response_id: str) -> Exception:
    """Return the refusal for a `previous_response_id` that is not there."""
    message = f"Previous response with id '{response_id}' not found."
    return refuse(message, param="previous_response_id", code="previous_response_not_found")


async def get_response(door: Door, call: Call, response_id: str) -> None:
    """Answer with a stored response."""
    if call.query().get("stream") == "true":
        message = "Resuming a response's stream is not supported yet."
        raise refuse(message, param="stream", code="unsupported_parameter")
    turn = await _find(door, call, response_id)
    await call.reply_json(_shown(turn))


async def delete_response(door: Door, call: Call, response_id: str) -> None:
    """Forget a stored response; the items stay in their conversation."""
    turn = await _find(door, call, response_id)
    await door.conversations.forget_turn(turn.owner, call.caller.credential_id, response_id)
    await call.reply_value({"id": response_id, "object": "response", "deleted": True})


async def _find(door: Door, call: Call, response_id: str) -> StoredTurn:
    problem = not_found(f"Response with id '{response_id}' not found.")
    try:
        door.owner(call, response_id, PREFIX)
        turn = await door.conversations.find_turn(call.caller.org_id, response_id)
    except (UnknownId, TurnNotFound):
        raise problem from None
    if not turn.stored or turn.surface != "responses" or not turn.answer:
        raise problem
    return turn


def _shown(turn: StoredTurn) -> bytes:
    """Return the response as its last event showed it: what was kept, and its output items."""
    members = msgspec.json.decode(turn.answer, type=Fields)
    members["output"] = msgspec.Raw(b"[%b]" % b",".join(item.content for item in turn.output))
    return msgspec.json.encode(members)
