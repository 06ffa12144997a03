"""A document as JSON: read within bounds, before anybody asks what it means."""

import json
from typing import Any

from axon.base import MIB
from axon.flags.errors import DefinitionInvalid, Mistake
from axon.flags.mistakes import ROOT, Mistakes, Path
from axon.flags.values import JsonValue

DOCUMENT_BYTES_MAX = 4 * MIB
DOCUMENT_DEPTH_MAX = 200
"""Levels of lists and objects: room for LOGIC_DEPTH_MAX operations, each two levels."""
TEXT_CHARS_MAX = 262_144
"""Of one text: a variant may carry a long system prompt."""
NAME_CHARS_MAX = 1_024
"""Of one name in an object."""
INTEGER_MAX = 2**53 - 1
"""Beyond it readers of JSON disagree about what is said (flagd's schema has the same bound)."""


class _Twice(dict[str, JsonValue]):
    """An object in which some names stand twice; readers of JSON take one or the other."""

    names: tuple[str, ...] = ()


def read_json(document: bytes, mistakes: Mistakes) -> JsonValue:
    """Return what the document says; raises DefinitionInvalid for what is no JSON or too deep.

    Everything else that no definition may hold is told to `mistakes`.
    """
    if len(document) > DOCUMENT_BYTES_MAX:
        raise DefinitionInvalid([Mistake("$", f"more than {DOCUMENT_BYTES_MAX} bytes")])
    try:
        content: JsonValue = json.loads(
            document.decode(), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise DefinitionInvalid([Mistake("$", f"not JSON: {error}")]) from error
    _check(content, mistakes)
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    doubled = _Twice(found)
    doubled.names = tuple(sorted({name for name in names if names.count(name) > 1}))
    return doubled


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")


def _check(content: JsonValue, mistakes: Mistakes) -> None:
    """Look at every value once, without recursion."""
    waiting: list[tuple[Path, int, JsonValue]] = [(ROOT, 0, content)]
    while waiting:
        path, depth, value = waiting.pop()
        if depth > DOCUMENT_DEPTH_MAX:
            mistakes.add(path, f"more than {DOCUMENT_DEPTH_MAX} levels")
            mistakes.end()
        if isinstance(value, str):
            _check_text(value, TEXT_CHARS_MAX, path, mistakes)
        elif isinstance(value, list):
            items = [(path / at, depth + 1, item) for at, item in enumerate(value)]
            waiting.extend(reversed(items))
        elif isinstance(value, dict):
            if isinstance(value, _Twice):
                mistakes.add(path, f"names stand twice: {', '.join(value.names)}")
            for name in value:
                _check_text(name, NAME_CHARS_MAX, path, mistakes)
            members = [(path / name, depth + 1, member) for name, member in value.items()]
            waiting.extend(reversed(members))
        elif isinstance(value, int | float) and not -INTEGER_MAX <= value <= INTEGER_MAX:
            if isinstance(value, int) or value in (float("inf"), float("-inf")):
                mistakes.add(path, f"a number beyond {INTEGER_MAX}")


def _check_text(text: str, chars_max: int, path: Path, mistakes: Mistakes) -> None:
    if len(text) > chars_max:
        mistakes.add(path, f"a text of more than {chars_max} characters")
    elif not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            mistakes.add(path, "half a surrogate pair")
