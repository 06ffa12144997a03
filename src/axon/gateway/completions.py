"""`POST /v1/completions`: the legacy call, for engines and clients that still speak it."""

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import COMPLETIONS_MEMBERS, StreamOptions, check, member, required
from axon.gateway.prompts import read_prompts
from axon.turns import Fields, TurnRequest


async def create_completion(door: Door, call: Call) -> None:
    """Take a turn outside any conversation and answer with a text completion."""
    body, fields = await call.fields(door.options.body_bytes_max)
    await door.answer_turn(call, read_request(door, call, body, fields))


def read_request(door: Door, call: Call, body: bytes, fields: Fields) -> TurnRequest:
    """Return what the client asked for; raise RequestRefused for what it cannot mean."""
    caller = call.caller
    model = required(fields, "model", str)
    prompts = read_prompts(fields, "prompt")
    check(fields, COMPLETIONS_MEMBERS)
    options = member(fields, "stream_options", StreamOptions)
    return TurnRequest(
        trace=call.trace,
        org_id=caller.org_id,
        user=door.subject(call, fields),
        credential_id=caller.credential_id,
        tier=caller.tier,
        region=caller.region,
        surface="completions",
        model=model,
        streamed=member(fields, "stream", bool) or False,
        stored=False,
        body=body,
        fields=fields,
        output_tokens_max=member(fields, "max_tokens", int),
        choices=len(prompts) * (member(fields, "n", int) or 1),
        show_usage=bool(options is not None and options.include_usage),
        idempotency_key=door.idempotency_key(call),
        attempt=door.attempt(call),
    )
