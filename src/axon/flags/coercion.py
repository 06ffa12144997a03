"""How JSONLogic turns one kind of value into another, as flagd's Python core does it."""

from math import isnan
from typing import Final

import msgspec

from axon.flags.values import JsonValue

NAN: Final = float("nan")

NUMERIC: Final = (int, float)
CONTAINER: Final = (list, dict)
"""Kinds for isinstance(); `int | float` would be made again at every call."""

NUMBER_CHARS_MAX = 1_000
"""Longer text is no number: reading digits costs the square of their count."""

TEXT_CHARS_MAX = 65_536
"""The longest text a rule may make: a doubling text would fill the memory in thirty steps."""

LIST_ITEMS_MAX = 10_000
"""The longest list a rule may make, for the same reason."""

INTEGER_BITS_MAX = 1_024
"""The largest integer a rule may make, for the same reason; floats end here as well."""

_INFINITIES = ("inf", "-inf", "+inf")


class LogicFailed(Exception):
    """A rule could not be worked out."""


WORK_MAX = 10_000
"""Operations of one evaluation, a few milliseconds: a thousand times a usual rule."""

CHARS_PER_OPERATION = 256
ITEMS_PER_OPERATION = 16
"""How much text or how many items are copied or looked through for one operation."""


class Work(msgspec.Struct, gc=False):
    """What one evaluation may still do, in operations: rules that repeat others are bounded."""

    left: int = WORK_MAX

    def spend(self, operations: int) -> None:
        """Count operations; LogicFailed when there were too many."""
        self.left -= operations
        if self.left < 0:
            raise LogicFailed(f"more than {WORK_MAX} operations")

    def go_through(self, value: "str | list[JsonValue]") -> None:
        """Count what it takes to copy or search a text or a list."""
        per_operation = CHARS_PER_OPERATION if isinstance(value, str) else ITEMS_PER_OPERATION
        self.spend(len(value) // per_operation)


def truthy(value: JsonValue) -> bool:
    """Return whether a condition holds: as in JavaScript, but an empty list is false."""
    if isinstance(value, float):
        return value != 0.0 and not isnan(value)
    return isinstance(value, dict) or bool(value)


def to_number(value: JsonValue) -> float:
    """Return the number a value stands for; NaN when it stands for none."""
    for _ in range(LIST_ITEMS_MAX):  # a list of one item is that item
        if not isinstance(value, list) or len(value) != 1:
            break
        value = value[0]
    if isinstance(value, NUMERIC):
        return value
    if value is None or value == []:
        return 0
    if not isinstance(value, str) or len(value) > NUMBER_CHARS_MAX:
        return NAN
    if value.strip().lower() in _INFINITIES:
        return NAN
    try:
        return float(value)
    except ValueError:
        return NAN


def to_text(value: JsonValue, work: Work) -> str:
    """Return the text of a value; LogicFailed when that would be too long."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, int):
        return str(value)  # of booleans too: True, as Python's core has it
    if value is None:
        return "null"
    if isinstance(value, list):
        return _list_text(value, work)
    return "[object Object]"


def _list_text(items: list[JsonValue], work: Work) -> str:
    """Return the items' texts with commas between them; lists inside are flat, without a mark.

    An empty list is an empty text, also inside.
    """
    parts: list[str] = []
    chars = 0
    waiting: list[JsonValue] = [items]
    while waiting:
        value = waiting.pop()
        work.spend(1)
        if isinstance(value, list) and value:
            waiting.extend(reversed(value))
        else:
            parts.append("" if isinstance(value, list) else to_text(value, work))
            chars += 1 + len(parts[-1])
            check_chars(chars)
    return ",".join(parts)


def check_chars(chars: int) -> None:
    """Raise LogicFailed when a text of so many characters may not be made."""
    if chars > TEXT_CHARS_MAX:
        raise LogicFailed(f"a text of more than {TEXT_CHARS_MAX} characters")


def check_items(items: int) -> None:
    """Raise LogicFailed when a list of so many items may not be made."""
    if items > LIST_ITEMS_MAX:
        raise LogicFailed(f"a list of more than {LIST_ITEMS_MAX} items")


def bounded_number(number: float) -> float:
    """Return the number; LogicFailed for an integer that is too large."""
    if isinstance(number, int) and number.bit_length() > INTEGER_BITS_MAX:
        raise LogicFailed(f"an integer of more than {INTEGER_BITS_MAX} bits")
    return number


def same(a: JsonValue, b: JsonValue, work: Work) -> bool:
    """Return whether two values are equal, item by item: `===`. 1 is 1.0 and is true."""
    if not isinstance(a, CONTAINER) or not isinstance(b, CONTAINER):
        return a == b
    pairs: list[tuple[JsonValue, JsonValue]] = [(a, b)]
    while pairs:
        one, other = pairs.pop()
        work.spend(1)
        if one is other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pairs.extend(zip(one, other, strict=True))
        elif isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            pairs.extend((value, other[name]) for name, value in one.items())
        elif one != other:
            return False
    return True


def loosely_same(a: JsonValue, b: JsonValue, work: Work) -> bool:
    """Return whether two values are equal once they are of one kind: `==`.

    Two lists are equal only when they are one list, as in JavaScript.
    """
    if isinstance(a, CONTAINER) and isinstance(b, CONTAINER):
        return a is b
    if isinstance(a, NUMERIC) or isinstance(b, NUMERIC):
        return to_number(a) == to_number(b)
    if a is None or b is None:
        return a is b
    return to_text(a, work) == to_text(b, work)


def contains(haystack: JsonValue, needle: JsonValue, work: Work) -> bool:
    """Return whether a list holds the value, or a text the value's text."""
    if not isinstance(haystack, str | list):
        return False
    work.go_through(haystack)
    if isinstance(haystack, str):
        return to_text(needle, work) in haystack
    if isinstance(needle, CONTAINER):
        return any(item is needle or same(item, needle, work) for item in haystack)
    return needle in haystack


def comparable(a: JsonValue, b: JsonValue, work: Work) -> tuple[float, float] | tuple[str, str]:
    """Return both as texts if one is a text and none a number; else both as numbers."""
    if isinstance(a, NUMERIC) or isinstance(b, NUMERIC):
        return to_number(a), to_number(b)
    if isinstance(a, str) or isinstance(b, str):
        return to_text(a, work), to_text(b, work)
    return to_number(a), to_number(b)
