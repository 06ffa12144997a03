"""`POST /v1/responses`: reading the request and taking the turn."""

import msgspec

from axon.base import UnknownId
from axon.conversations import ConversationNotFound, NewItem, StoredTurn, TurnNotFound
from axon.gateway.call import Call
from axon.gateway.door import Door, stored_body
from axon.gateway.items import from_json, from_text
from axon.gateway.members import (
    RESPONSES_MEMBERS,
    ContextManagement,
    ConversationName,
    check,
    member,
    metadata,
    required,
)
from axon.gateway.problem import not_found, refuse
from axon.gateway.references import with_references
from axon.gateway.stored_responses import PREFIX, so_far
from axon.turns import Fields, TurnRequest


async def create_response(door: Door, call: Call) -> None:
    """Take a turn and answer with a response."""
    body, fields = await call.fields(door.options.body_bytes_max)
    await answer_response(door, call, body, fields)


async def answer_response(door: Door, call: Call, body: bytes, fields: Fields) -> None:
    """Take the turn that `body`, split into its `fields`, asks for, and answer with a response."""
    fields = await with_references(door, call, fields)
    request = read_request(door, call, body, fields)
    try:
        if request.background and not request.streamed:
            turn = await door.take_turn(call, request)
            shown = stored_body(turn) if isinstance(turn, StoredTurn) else so_far(turn)
            await call.reply_json(shown)
            return
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
    stored = member(fields, "store", bool) is not False
    background = member(fields, "background", bool) or False
    if background and not stored:
        message = "Invalid 'background': a response in the background must be stored."
        raise refuse(message, param="background", code="invalid_value")
    caller = call.caller
    return TurnRequest(
        trace=call.trace,
        org_id=caller.org_id,
        user=user,
        credential_id=caller.credential_id,
        tier=caller.tier,
        region=caller.region,
        placed_as=door.placed_as(call),
        surface="responses",
        model=model,
        streamed=member(fields, "stream", bool) or False,
        background=background,
        stored=stored,
        body=body,
        fields=fields,
        items=items,
        instructions=member(fields, "instructions", str),
        conversation_id=conversation_id,
        previous_response_id=previous,
        truncate=truncation == "auto",
        compact_from=_compact_from(fields),
        output_tokens_max=cap,
        idempotency_key=door.idempotency_key(call),
        attempt=door.attempt(call),
    )


def _compact_from(fields: Fields) -> int | None:
    """Return from how many tokens on the history is to be summarised; 0: when it does not fit."""
    wanted = member(fields, "context_management", list[ContextManagement])
    for one in wanted or ():
        if one.type != "compaction":
            message = f"Invalid value for 'context_management': {one.type!r}; use 'compaction'."
            raise refuse(message, param="context_management", code="invalid_value")
        return one.compact_threshold or 0
    return None


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
