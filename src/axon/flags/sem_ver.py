"""Semantic versions (semver.org 2.0.0) compared as flagd's `sem_ver` does."""

from collections.abc import Callable
from typing import NamedTuple

from axon.flags.values import JsonValue

VERSION_CHARS_MAX = 256
"""Longer is no version."""

_DIGITS = frozenset("0123456789")
_ALLOWED = _DIGITS | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-")


class Version(NamedTuple):
    """A version in the order of precedence; what was built plays no part."""

    major: int
    minor: int
    patch: int
    released: bool
    """A version comes after all that led to it."""
    before: tuple[tuple[bool, int, str], ...]
    """The pre-release's parts: numbers come before words."""


def read_version(value: JsonValue) -> Version | None:
    """Return the version a value names, None when it names none.

    A `v` before it and missing zeros behind it (`v1.2`) are allowed, as in flagd.
    """
    if isinstance(value, list | dict) or value is None:
        return None
    text = str(value)
    if len(text) > VERSION_CHARS_MAX:
        return None
    text = text.removeprefix(text[0]) if text[:1] in ("v", "V") else text
    text, plus, build = text.partition("+")
    core, dash, before = text.partition("-")
    numbers = core.split(".")
    numbers += ["0"] * (3 - len(numbers))
    if len(numbers) != 3 or not all(_is_number(part) for part in numbers):
        return None
    parts = before.split(".") if dash else []
    if not all(_is_word(part) and not _is_padded(part) for part in parts):
        return None
    if plus and not all(_is_word(part) for part in build.split(".")):
        return None
    major, minor, patch = map(int, numbers)
    return Version(major, minor, patch, not parts, tuple(_ordered(part) for part in parts))


def _is_number(part: str) -> bool:
    return _DIGITS.issuperset(part) and part != "" and not _is_padded(part)


def _is_padded(part: str) -> bool:
    return len(part) > 1 and part[0] == "0" and _DIGITS.issuperset(part)


def _is_word(part: str) -> bool:
    return part != "" and _ALLOWED.issuperset(part)


def _ordered(part: str) -> tuple[bool, int, str]:
    return (False, int(part), "") if _DIGITS.issuperset(part) else (True, 0, part)


COMPARISONS: dict[str, Callable[[Version, Version], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "^": lambda a, b: a[:1] == b[:1],
    "~": lambda a, b: a[:2] == b[:2],
}
"""What `sem_ver` can ask, with flagd's meanings: `^` is the same major version, `~` the same minor
version; npm's mean something else."""
