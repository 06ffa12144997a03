"""A kind of value that is hidden: how it looks, and what tells it from a look-alike.

A pattern is found by the scanner in one pass over the text, so it may not look around or back.
What decides is `check`, in Python, on the few bytes that were found.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

Check = Callable[[bytes, int, int], tuple[int, int] | None]
"""Takes a text and where a pattern was found in it; returns where the value stands, or None."""

WORDS_BEFORE_BYTES = 40
"""How far in front of a number the word may stand that says what it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value that is hidden."""

    name: str
    """Stands for the value: [email], or [EMAIL_1] where it comes back."""
    pattern: str
    check: Check | None = None
    caseless: bool = False
    rest: re.Pattern[bytes] | None = None
    """What more belongs to the value behind the pattern, which is only how it begins: an automaton
    that knows where a match began cannot count far."""


WORD = re.compile(rb"[A-Za-z0-9_]")
"""What may not touch a value: it would be a part of something else."""


def stands_alone(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place when no letter, digit or underscore touches it."""
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return None if WORD.match(before) or WORD.match(after) else (start, end)


def checked(rule: Callable[[str], bool], *, separators: str = " -.", said: str = "") -> Check:
    """Return a check of what is left without separators; `said`: words that must stand before."""
    words = re.compile(said.encode(), re.IGNORECASE) if said else None
    left_out = str.maketrans("", "", separators)

    def check(text: bytes, start: int, end: int) -> tuple[int, int] | None:
        if not apart(text, start, end):
            return None
        if words is not None and not words.search(text, max(0, start - WORDS_BEFORE_BYTES), start):
            return None
        found = text[start:end].decode("ascii", "ignore").translate(left_out)
        return (start, end) if rule(found) else None

    return check


def apart(text: bytes, start: int, end: int) -> bool:
    """Return whether a number is no part of a longer one, of a version or of a path."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if WORD.match(before[-1:]) or WORD.match(after[:1]):
        return False
    if before[-1:] in (b"-", b".", b"/", b"#", b",") and WORD.match(before[:1]):
        return False
    return not (after[:1] in (b"-", b".", b"/", b",", b":") and after[1:].isdigit())


def value_after(words: str) -> Check:
    """Return a check that hides only what follows the words: the value's own group."""
    shape = re.compile(words.encode(), re.IGNORECASE)

    def check(text: bytes, start: int, end: int) -> tuple[int, int] | None:
        found = shape.match(text, start)
        if found is None or WORD.match(text[max(0, start - 1) : start]):
            return None
        return found.span(1)

    return check
