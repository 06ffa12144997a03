"""What embeddings and legacy completions ask about: texts or model tokens, one or several."""

import msgspec

from axon.gateway.members import required
from axon.gateway.problem import RequestRefused, refuse
from axon.turns import Fields

PROMPTS_MAX = 2048
"""OpenAI's bound of inputs in one request."""

_Tokens = list[int]
_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_kinds = msgspec.json.Decoder(list[str | int | _Tokens])


def read_prompts(fields: Fields, name: str) -> tuple[bytes, ...]:
    """Return the JSON of each prompt: a string, or an array of token numbers.

    OpenAI's API takes one prompt, or an array of them all of one kind. Raises RequestRefused.
    """
    raw = fields.get(name)
    if raw is None or bytes(raw) == b"null":
        required(fields, name, str)
        return ()
    data = bytes(raw)
    if data[:1] == b'"':
        if data == b'""':
            raise _empty(name)
        required(fields, name, str)
        return (data,)
    try:
        values = _kinds.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong_kind(name) from error
    kinds = {type(value) for value in values}
    if len(kinds) > 1:
        raise _wrong_kind(name)
    if not values or any(value in ("", []) for value in values):
        raise _empty(name)
    if kinds == {int}:
        return (data,)
    if len(values) > PROMPTS_MAX:
        message = f"Invalid '{name}': at most {PROMPTS_MAX} inputs, but got {len(values)}."
        raise refuse(message, param=name, code="array_above_max_length")
    return tuple(bytes(one) for one in _decoder.decode(data))


def _empty(name: str) -> RequestRefused:
    message = f"Invalid '{name}': it must not be empty, nor hold an empty input."
    return refuse(message, param=name, code="invalid_value")


def _wrong_kind(name: str) -> RequestRefused:
    message = (
        f"Invalid type for '{name}': expected a string, an array of strings, an array of token "
        "numbers, or an array of such arrays."
    )
    return refuse(message, param=name, code="invalid_type")
