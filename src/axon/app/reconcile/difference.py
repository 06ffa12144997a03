"""What a reconciliation finds: differences, each named, and the counts and sums beside them."""

from collections import Counter
from dataclasses import dataclass, field

NAMED_MAX = 1_000
"""Differences that are named; the rest is only counted, for the cause is then not one record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing on which the stores do not agree."""

    kind: str
    """What it is about: turn, tokens, item, place, conversation, key, event, parked, cursor,
    window, usage, limit."""
    name: str
    """The turn, conversation or item by its id; a journal's entry as instance:sequence."""
    side: str
    """Who is wrong or lacks it: journal, postgresql or valkey."""
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A count or sum over what the stores both have; None where one does not hold such a thing."""

    what: str
    journal: int | None = None
    postgresql: int | None = None
    valkey: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole reconciliation."""

    differences: tuple[Difference, ...]
    """At most NAMED_MAX."""
    unnamed: int
    """How many more there are."""
    totals: tuple[Total, ...]

    @property
    def agrees(self) -> bool:
        """Return whether the stores agree in everything."""
        return not self.differences


@dataclass(slots=True)
class Findings:
    """Collects differences and totals in bounded memory."""

    differences: list[Difference] = field(default_factory=list)
    unnamed: int = 0
    journal: Counter[str] = field(default_factory=Counter)
    postgresql: Counter[str] = field(default_factory=Counter)
    valkey: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, name: str, side: str, finding: str) -> None:
        """Note a difference."""
        if len(self.differences) < NAMED_MAX:
            found = Difference(kind=kind, name=name, side=side, finding=finding)
            self.differences.append(found)
        else:
            self.unnamed += 1

    def report(self) -> Report:
        """Return everything that was found."""
        names = dict.fromkeys((*self.journal, *self.postgresql, *self.valkey))
        return Report(
            differences=tuple(self.differences),
            unnamed=self.unnamed,
            totals=tuple(
                Total(
                    what=name,
                    journal=self.journal.get(name),
                    postgresql=self.postgresql.get(name),
                    valkey=self.valkey.get(name),
                )
                for name in names
            ),
        )
