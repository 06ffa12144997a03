"""`POST /v1/embeddings`."""

import msgspec

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import EMBEDDINGS_MEMBERS, check, required
from axon.gateway.prompts import read_prompts
from axon.turns import Fields, TurnRequest


async def create_embeddings(door: Door, call: Call) -> None:
    """Answer with the embedding of each input; those made before come from memory."""
    body, fields = await call.fields(door.options.body_bytes_max)
    await door.answer_turn(call, read_request(door, call, body, fields))


def read_request(door: Door, call: Call, body: bytes, fields: Fields) -> TurnRequest:
    """Return what the client asked for; raise RequestRefused for what it cannot mean.

    A retry is a request like any other: nothing is changed by it, and no answer was kept.
    """
    model = required(fields, "model", str)
    inputs = read_prompts(fields, "input")
    check(fields, EMBEDDINGS_MEMBERS)
    user = door.subject(call, fields)
    caller = call.caller
    plan = door.embedding_cache.plan((caller.org_id, user), model, fields, inputs)
    asked = [inputs[place] for place in plan.asked]
    if len(asked) != len(inputs):
        # A single array of tokens is one input, so it stays in an array when others are left out.
        fields = {**fields, "input": msgspec.Raw(b"[%b]" % b",".join(asked))}
    return TurnRequest(
        trace=call.trace,
        org_id=caller.org_id,
        user=user,
        credential_id=caller.credential_id,
        tier=caller.tier,
        surface="embeddings",
        model=model,
        streamed=False,
        stored=False,
        body=body,
        fields=fields,
        embeddings=plan,
    )
