"""Turns raw tables into structs field by field, so that one mistake does not hide the next."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, TypeVar, get_args, get_origin

import msgspec

from axon.app.settings.wanted import wanted

SECRET_FIELDS = frozenset(
    {
        "url",
        "key",
        "base_url",
        "password",
        "webhook_secret",
        "secret_access_key",
        "vault_token",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
    }
)
"""Settings whose value may contain a secret; never shown."""

SomeStruct = TypeVar("SomeStruct", bound=msgspec.Struct)


class Mistakes:
    """What is wrong so far: one sentence each, beginning with the setting's name."""

    def __init__(self) -> None:
        """Start with none."""
        self.found: list[str] = []

    def add(self, name: str, what: str) -> None:
        """Note one mistake of the setting `name`."""
        self.found.append(f"{name} {what}")


def read(
    section: type[SomeStruct], raw: object, path: str, mistakes: Mistakes
) -> SomeStruct | None:
    """Return the struct `raw` describes, or None when that is impossible; notes every mistake.

    Text is converted to numbers and truth values, for variables are always text.
    """
    if not isinstance(raw, Mapping):
        mistakes.add(path, "must be a table")
        return None
    before = len(mistakes.found)
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    for unknown in raw.keys() - fields.keys():
        close = get_close_matches(str(unknown), fields, n=1)
        hint = f"; did you mean {_join(path, close[0])}?" if close else ""
        mistakes.add(_join(path, str(unknown)), f"is not a setting{hint}")
    values = {}
    for name, field in fields.items():
        if name in raw:
            values[name] = _value(field.type, raw[name], _join(path, name), mistakes)
        elif field.required:
            mistakes.add(_join(path, name), "is missing")
    return section(**values) if len(mistakes.found) == before else None


def is_named_table(expected: object) -> bool:
    """Return whether the names in the setting are the operator's own; it is no variable then."""
    plain = get_args(expected)[0] if get_origin(expected) is Annotated else expected
    return get_origin(plain) is dict


def _value(expected: object, raw: object, path: str, mistakes: Mistakes) -> object:
    plain = get_args(expected)[0] if get_origin(expected) is Annotated else expected
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        return read(plain, raw, path, mistakes)
    if get_origin(plain) is dict and isinstance(raw, Mapping):
        inner = get_args(plain)[1]
        return {key: _value(inner, one, f"{path}.{key}", mistakes) for key, one in raw.items()}
    if get_origin(plain) is tuple and isinstance(raw, list) and raw:
        inner = get_args(plain)[0]
        places = enumerate(raw, start=1)
        return tuple(_value(inner, one, f"{path}[{at}]", mistakes) for at, one in places)
    try:
        return msgspec.convert(raw, expected, strict=False)
    except msgspec.ValidationError:
        # An address or a key may hold a password: it is not repeated.
        secret = path.rpartition(".")[2] in SECRET_FIELDS
        mistakes.add(path, f"must be {wanted(expected)}" + ("" if secret else f"; it is {raw!r}"))
        return None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
