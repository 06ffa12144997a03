"""What a setting accepts, in words: for mistakes and for the reference page."""

import types
from typing import Annotated, Literal, get_args, get_origin

from msgspec import Meta

_NAMES: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}


def wanted(expected: object) -> str:
    """Return the kind and range of values a field's type accepts, as "a whole number >= 1"."""
    if get_origin(expected) is not Annotated:
        return _kind(expected)
    plain, *notes = get_args(expected)
    metas = [note for note in notes if isinstance(note, Meta)]
    for meta in metas:
        if meta.extra and "form" in meta.extra:
            return str(meta.extra["form"])
    limits = [limit for meta in metas for limit in _limits(meta)]
    return " ".join([_kind(plain), " and ".join(limits)]).strip()


def _kind(plain: object) -> str:
    if get_origin(plain) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(plain))
    if get_origin(plain) in (dict, tuple) or isinstance(plain, types.GenericAlias):
        return "a list of tables" if get_origin(plain) is tuple else "a table of tables"
    return _NAMES.get(plain, "a table")


def _limits(meta: Meta) -> list[str]:
    signs = {">": meta.gt, ">=": meta.ge, "<": meta.lt, "<=": meta.le}
    return [f"{sign} {limit}" for sign, limit in signs.items() if limit is not None]
