"""What the lists have in common: how long a page is, and in which order."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from axon.gateway.members import bounded_metadata
from axon.gateway.problem import refuse

PAGE_DEFAULT = 20
PAGE_MAX = 100
"""OpenAI's bounds of a page."""

_METADATA = re.compile(r"metadata\[(.+)\]", re.DOTALL)
_MODEL_CHARS_MAX = 512


def page_limit(query: Mapping[str, str]) -> int:
    """Return how many objects are asked for; refuse what is no number between 1 and PAGE_MAX."""
    text = query.get("limit")
    if text is None:
        return PAGE_DEFAULT
    short = text.isascii() and text.isdigit() and len(text) <= len(str(PAGE_MAX))
    if not short or not 1 <= int(text) <= PAGE_MAX:
        message = f"Invalid 'limit': expected a number between 1 and {PAGE_MAX}."
        raise refuse(message, param="limit", code="invalid_value")
    return int(text)


def page_order(query: Mapping[str, str], usual: str = "desc") -> Literal["asc", "desc"]:
    """Return the order asked for, `usual` when none is; refuse another word."""
    text = query.get("order", usual)
    if text == "asc":
        return "asc"
    if text == "desc":
        return "desc"
    message = f"Invalid value for 'order': {text!r}; use 'asc' or 'desc'."
    raise refuse(message, param="order", code="invalid_value")


def page_metadata(query: Mapping[str, str]) -> dict[str, str]:
    """Return the pairs of `metadata[key]=value`, within OpenAI's bounds."""
    named = ((_METADATA.fullmatch(name), value) for name, value in query.items())
    return bounded_metadata({match[1]: value for match, value in named if match})


def page_model(query: Mapping[str, str]) -> str | None:
    """Return the model asked for; refuse what is no model's name."""
    model = query.get("model") or None
    if model is not None and ("\0" in model or len(model) > _MODEL_CHARS_MAX):
        raise refuse("Invalid value for 'model'.", param="model", code="invalid_value")
    return model


def page_json(objects: Sequence[bytes], ids: Sequence[str], has_more: bool) -> bytes:
    """Return the list of these objects, each given as JSON and by its id."""
    return b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b,"has_more":%b}' % (
        b",".join(objects),
        msgspec.json.encode(ids[0] if ids else None),
        msgspec.json.encode(ids[-1] if ids else None),
        b"true" if has_more else b"false",
    )
