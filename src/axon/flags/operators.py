"""The operators of JSONLogic that only look at their values, and flagd's texts and versions.

Each gets its values in order. What JSONLogic leaves open (text that is no number, a number that is
compared with a text) is as in flagd's Python core, so that one definition means one thing.
"""

from collections.abc import Callable
from math import isnan
from typing import Final, NamedTuple

from axon.flags.coercion import (
    ITEMS_PER_OPERATION,
    NUMERIC,
    Work,
    bounded_number,
    check_chars,
    check_items,
    comparable,
    contains,
    loosely_same,
    same,
    to_number,
    to_text,
    truthy,
)
from axon.flags.sem_ver import COMPARISONS, read_version
from axon.flags.values import JsonValue

Values = list[JsonValue]


class Operator(NamedTuple):
    """What an operator does with how many values."""

    apply: Callable[[Values, Work], JsonValue]
    least: int
    most: int | None
    """None: any number."""


def _at(values: Values, index: int) -> JsonValue:
    return values[index] if index < len(values) else None


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[Values, Work], JsonValue]:
    """Return a comparison of two values, or of three in a row."""

    def ordered(values: Values, work: Work) -> JsonValue:
        a, b, c = values[0], values[1], _at(values, 2)
        if not compare(*comparable(a, b, work)):
            return False
        return c is None or compare(*comparable(b, c, work))

    return ordered


def _add(values: Values, work: Work) -> JsonValue:
    total: float = 0
    for value in values:  # sum() adds floats in another way from Python 3.12 on
        total += to_number(value)
    return bounded_number(total)


def _multiply(values: Values, work: Work) -> JsonValue:
    product: float = 1
    for value in values:
        product = bounded_number(product * to_number(value))
    return product


def _subtract(values: Values, work: Work) -> JsonValue:
    a, b = values[0], _at(values, 1)
    return -to_number(a) if b is None else bounded_number(to_number(a) - to_number(b))


def _merge(values: Values, work: Work) -> JsonValue:
    merged: Values = []
    for value in values:
        merged.extend(value if isinstance(value, list) else (value,))
        check_items(len(merged))
    work.go_through(merged)
    return merged


def _concatenate(values: Values, work: Work) -> JsonValue:
    parts = [to_text(value, work) for value in values]
    check_chars(sum(map(len, parts)))
    text = "".join(parts)
    work.go_through(text)
    return text


def _substring(values: Values, work: Work) -> JsonValue:
    """Return a part of a text: from an index (negative: from the end), so many characters, or up
    to so many before the end."""
    text = to_text(values[0], work)
    work.go_through(text)
    index, length = to_number(values[1]), _at(values, 2)
    start = 0 if isnan(index) else int(min(max(index, -len(text) - 1), len(text)))
    if start < 0:
        start = len(text) + start if -start < len(text) else 0
    if length is None:
        return text[start:]
    count = to_number(length)
    if isnan(count):
        return ""
    end = len(text) + int(count) if int(count) < 0 else start + int(count)
    return text[start : max(start, end)]


def _smallest(values: Values, work: Work) -> JsonValue:
    return min(map(to_number, values))


def _largest(values: Values, work: Work) -> JsonValue:
    return max(map(to_number, values))


def _begins(values: Values, work: Work) -> JsonValue:
    text, start = values
    return text.startswith(start) if isinstance(text, str) and isinstance(start, str) else None


def _ends(values: Values, work: Work) -> JsonValue:
    text, end = values
    return text.endswith(end) if isinstance(text, str) and isinstance(end, str) else None


def _compare_versions(values: Values, work: Work) -> JsonValue:
    one, other = read_version(values[0]), read_version(values[2])
    compare = COMPARISONS.get(values[1]) if isinstance(values[1], str) else None
    return None if one is None or other is None or compare is None else compare(one, other)


OPERATORS: dict[str, Operator] = {
    "==": Operator(lambda values, work: loosely_same(values[0], values[1], work), 2, 2),
    "!=": Operator(lambda values, work: not loosely_same(values[0], values[1], work), 2, 2),
    "===": Operator(lambda values, work: same(values[0], values[1], work), 2, 2),
    "!==": Operator(lambda values, work: not same(values[0], values[1], work), 2, 2),
    "<": Operator(_ordered(lambda a, b: a < b), 2, 3),
    "<=": Operator(_ordered(lambda a, b: a <= b), 2, 3),
    ">": Operator(_ordered(lambda a, b: a > b), 2, 3),
    ">=": Operator(_ordered(lambda a, b: a >= b), 2, 3),
    "!": Operator(lambda values, work: not truthy(values[0]), 1, 1),
    "!!": Operator(lambda values, work: truthy(values[0]), 1, 1),
    "+": Operator(_add, 1, None),
    "*": Operator(_multiply, 1, None),
    "-": Operator(_subtract, 1, 2),
    "/": Operator(lambda values, work: to_number(values[0]) / to_number(values[1]), 2, 2),
    "%": Operator(lambda values, work: to_number(values[0]) % to_number(values[1]), 2, 2),
    "min": Operator(_smallest, 1, None),
    "max": Operator(_largest, 1, None),
    "in": Operator(lambda values, work: contains(values[1], values[0], work), 2, 2),
    "cat": Operator(_concatenate, 0, None),
    "substr": Operator(_substring, 2, 3),
    "merge": Operator(_merge, 0, None),
    "log": Operator(lambda values, work: values[0], 1, 1),  # flags write nothing
    "starts_with": Operator(_begins, 2, 2),
    "ends_with": Operator(_ends, 2, 2),
    "sem_ver": Operator(_compare_versions, 3, 3),
}

_INDEXED: Final = (list, str)

INDEX_CHARS_MAX = 20
"""Longer digits are no index of a list."""


def look_up(data: JsonValue, key: JsonValue, default: JsonValue, work: Work) -> JsonValue:
    """Return what stands under a dotted path: JSONLogic's `var`. No key is everything."""
    if key is None or key == "":
        return data
    if isinstance(key, NUMERIC):
        if not isinstance(data, _INDEXED) or isnan(key) or key != int(key):
            return default
        return data[int(key)] if 0 <= key < len(data) else default
    path = to_text(key, work)
    work.spend(len(path) // ITEMS_PER_OPERATION)  # as if every character were a step
    return follow(data, tuple(path.split(".")), default)


def follow(data: JsonValue, steps: tuple[str, ...], default: JsonValue) -> JsonValue:
    """Return what the steps lead to; the default when that is nothing or null."""
    for step in steps:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, _INDEXED):
            if step == "length":
                return len(data)  # as in JavaScript
            if not step.isdecimal() or len(step) > INDEX_CHARS_MAX:
                return default
            index = int(step)
            if str(index) != step or index >= len(data):
                return default
            data = data[index]
        else:
            return default
    return default if data is None else data


def missing(data: JsonValue, keys: list[JsonValue], work: Work) -> list[JsonValue]:
    """Return the keys under which nothing, null or an empty text stands."""
    work.spend(len(keys))
    return [key for key in keys if look_up(data, key, None, work) in (None, "")]
