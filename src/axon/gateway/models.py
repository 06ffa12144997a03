"""`/v1/models`."""

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.problem import Problem, RequestRefused

_CREATED_S = 1_700_000_000
"""Aliases have no birthday; OpenAI's clients want a number."""


def _shown(model_id: str) -> dict[str, object]:
    return {"id": model_id, "object": "model", "created": _CREATED_S, "owned_by": "axon"}


async def list_models(door: Door, call: Call) -> None:
    """Answer with every model a client may name."""
    names = await door.models.names()
    await call.reply_value({"object": "list", "data": [_shown(name) for name in names]})


async def get_model(door: Door, call: Call, model_id: str) -> None:
    """Answer with one model."""
    if model_id not in await door.models.names():
        message = f"The model `{model_id}` does not exist or you do not have access to it."
        code = "model_not_found"
        raise RequestRefused(Problem(status=404, message=message, param="model", code=code))
    await call.reply_value(_shown(model_id))
