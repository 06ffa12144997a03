"""`POST /v1/chat/completions`."""

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import CHAT_MEMBERS, StreamOptions, check, member, metadata, required
from axon.turns import Fields, TurnRequest


async def create_completion(door: Door, call: Call) -> None:
    """Take a turn outside any conversation and answer with a chat completion."""
    body, fields = await call.fields(door.options.body_bytes_max)
    await door.answer_turn(call, read_request(door, call, body, fields))


def read_request(door: Door, call: Call, body: bytes, fields: Fields) -> TurnRequest:
    """Return what the client asked for; raise RequestRefused for what it cannot mean."""
    caller = call.caller
    model = required(fields, "model", str)
    if "messages" not in fields:
        required(fields, "messages", list)
    check(fields, CHAT_MEMBERS)
    pairs = metadata(fields)
    stored = member(fields, "store", bool) or False
    options = member(fields, "stream_options", StreamOptions)
    cap = member(fields, "max_completion_tokens", int) or member(fields, "max_tokens", int)
    return TurnRequest(
        trace=call.trace,
        org_id=caller.org_id,
        user=door.subject(call, fields),
        credential_id=caller.credential_id,
        tier=caller.tier,
        region=caller.region,
        surface="chat",
        model=model,
        streamed=member(fields, "stream", bool) or False,
        stored=stored,
        metadata=(stored and pairs) or {},
        body=body,
        fields=fields,
        output_tokens_max=cap,
        choices=member(fields, "n", int) or 1,
        show_usage=bool(options is not None and options.include_usage),
        idempotency_key=door.idempotency_key(call),
        attempt=door.attempt(call),
    )
