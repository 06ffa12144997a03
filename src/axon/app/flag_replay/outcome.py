"""What a draft would have changed: counted as the turns go by, in bounded memory."""

from typing import NamedTuple

import msgspec

SAMPLE_MAX = 10
"""Units named for each move: enough to look at some."""

PLACES_MAX = 100_000
"""Organizations, or one person's conversations, that are told apart for each move; one beyond is
counted again with each of its turns."""

NOT_ASKED = "(not asked)"
"""Where a turn was accepted without the flag."""

OFF = "(off)"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Turns that one flag would have given another variant, or the same."""

    before: str
    """The variant in the turn's record, (off), or (not asked)."""
    after: str
    """The draft's: a variant, or (off)."""
    turns: int
    units: int
    """Distinct ones of the flag's unit."""
    sample: tuple[str, ...]
    """Ids of some of the units."""

    @property
    def stays(self) -> bool:
        """Return whether nothing would have been different."""
        return self.before == self.after


class FlagMoves(msgspec.Struct, frozen=True, kw_only=True):
    """One flag of the draft: where everybody was, and would have been."""

    flag: str
    unit: str
    moves: tuple[Move, ...]
    """Those who move first, the most turns first."""
    failed: int
    """Turns about which the draft could not be decided; they are (off)."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """In one currency, without overage."""

    currency: str
    before_nano: int
    after_nano: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it."""

    since_us: int
    until_us: int
    turns: int
    """For which flags are asked: not embeddings, and not what Axon asks by itself."""
    moved: int
    """Turns that another variant of any flag of the draft would have served."""
    flags: tuple[FlagMoves, ...]
    costs: tuple[Cost, ...]
    rerouted: int
    """Turns that would have run on another model."""
    unpriced: int
    """Of those, the ones whose new model had no price then: they are in no cost."""


class _Key(NamedTuple):
    flag: str
    before: str
    after: str


class _Counted:
    """One move while it is counted."""

    __slots__ = ("places", "sample", "turns", "units")

    def __init__(self) -> None:
        self.turns = self.units = 0
        self.sample: list[str] = []
        self.places: set[str] = set()


class Moves:
    """Counts moves; turns come person by person, so few units are to be told apart at a time."""

    def __init__(self, units: dict[str, str]) -> None:
        """`units` says by flag whom its splits place: user, org or conversation."""
        self._units = units
        self._found: dict[_Key, _Counted] = {}
        self._failed = dict.fromkeys(units, 0)
        self._person = -1

    def person(self, user: int) -> None:
        """Say whose turns come now."""
        if user == self._person:
            return
        self._person = user
        for key, counted in self._found.items():
            if self._units[key.flag] != "org":
                counted.places.clear()

    def count(self, flag: str, before: str, after: str, unit_id: str) -> None:
        """Count one turn."""
        counted = self._found.setdefault(_Key(flag, before, after), _Counted())
        counted.turns += 1
        if unit_id in counted.places:
            return
        counted.units += 1
        if len(counted.places) < PLACES_MAX:
            counted.places.add(unit_id)
        if len(counted.sample) < SAMPLE_MAX:
            counted.sample.append(unit_id)

    def fail(self, flag: str) -> None:
        """Count a turn about which the draft's flag could not be decided."""
        self._failed[flag] += 1

    def told(self) -> tuple[FlagMoves, ...]:
        """Return what was counted, by flag."""
        return tuple(
            FlagMoves(flag=flag, unit=unit, moves=self._of(flag), failed=self._failed[flag])
            for flag, unit in self._units.items()
        )

    def _of(self, flag: str) -> tuple[Move, ...]:
        found = [
            Move(
                before=key.before,
                after=key.after,
                turns=counted.turns,
                units=counted.units,
                sample=tuple(counted.sample),
            )
            for key, counted in self._found.items()
            if key.flag == flag
        ]
        return tuple(sorted(found, key=lambda move: (move.stays, -move.turns, move.after)))
