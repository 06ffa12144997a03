"""Finds every kind in one pass over a text, whatever their number: Hyperscan's automaton.

It cannot backtrack, so no pattern, a custom one included, makes a text expensive; what it finds is
then checked in Python, on the few bytes found.
"""

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import hyperscan

from axon.privacy.errors import PatternInvalid
from axon.privacy.kind import Kind

TEXT_BYTES_MAX = 64 * 1024
"""Of one pass. What is longer is scanned in pieces that overlap, so that a text full of matches
cannot hold more of them in memory."""

OVERLAP_BYTES = 20_480
"""Longer than anything that is hidden: whatever a cut falls into is whole in the next piece."""

_FLAGS = hyperscan.HS_FLAG_SOM_LEFTMOST


class Span(NamedTuple):
    """Where in a text, in bytes, a value of a kind stands."""

    start: int
    end: int
    name: str
    rank: int = 0
    """Place of its kind among all: of two at one place, the lower counts."""


class Scanner:
    """The kinds to look for, compiled at the first use; for any thread."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        """`kinds` in the order in which they count, where two are found at one place."""
        self._kinds = tuple(kinds)
        self._of_thread = threading.local()

    @cached_property
    def _database(self) -> hyperscan.Database:
        """Return the patterns compiled; raise PatternInvalid, blocks for tens of milliseconds."""
        database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        flags = [
            _FLAGS | (hyperscan.HS_FLAG_CASELESS if kind.caseless else 0) for kind in self._kinds
        ]
        patterns = [kind.pattern.encode("latin-1") for kind in self._kinds]
        try:
            database.compile(expressions=patterns, ids=range(len(patterns)), flags=flags)
        except hyperscan.error as error:
            raise PatternInvalid(str(error)) from error
        return database

    @cached_property
    def version(self) -> str:
        """Return a digest of all patterns in their order."""
        told = [f"{one.name}\0{one.pattern}\0{one.caseless}" for one in self._kinds]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]

    def prepare(self) -> None:
        """Compile now; raise PatternInvalid for a pattern that the automaton cannot hold."""
        self._scratch()

    def _scratch(self) -> hyperscan.Scratch:
        """Return this thread's own working memory: one for two threads is refused."""
        found: hyperscan.Scratch | None = getattr(self._of_thread, "scratch", None)
        if found is None:
            found = self._of_thread.scratch = hyperscan.Scratch(self._database)
        return found

    def find(self, text: bytes) -> list[Span]:
        """Return what is found, in order and without overlap."""
        if len(text) <= TEXT_BYTES_MAX:
            return _apart(self._checked(text))
        spans: list[Span] = []
        for start in range(0, len(text), TEXT_BYTES_MAX - OVERLAP_BYTES):
            piece = text[start : start + TEXT_BYTES_MAX]
            spans += [
                Span(start + one.start, start + one.end, one.name, one.rank)
                for one in self._checked(piece)
            ]
        return _apart(spans)

    def _checked(self, text: bytes) -> list[Span]:
        longest: dict[tuple[int, int], int] = {}

        def found(kind: int, start: int, end: int, flags: int, context: object) -> None:
            key = (kind, start)
            if end > longest.get(key, 0):
                longest[key] = end

        self._database.scan(text, match_event_handler=found, scratch=self._scratch())
        spans = []
        for (number, start), end in longest.items():
            kind = self._kinds[number]
            more = kind.rest.match(text, end) if kind.rest is not None else None
            last = more.end() if more else end
            place = (start, last) if kind.check is None else kind.check(text, start, last)
            if place is not None and place[0] < place[1]:
                spans.append(Span(place[0], place[1], kind.name, number))
        return spans


def _apart(spans: list[Span]) -> list[Span]:
    """Return the spans in order; of those that overlap, all goes, under the name of the first."""
    spans.sort(key=lambda span: (span.start, -span.end, span.rank))
    kept: list[Span] = []
    for span in spans:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif span.end > kept[-1].end:
            kept[-1] = kept[-1]._replace(end=span.end)
    return kept
