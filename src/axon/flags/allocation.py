"""Whom a running experiment gives which variant: parts of one line, on which everybody has a place.

A place is a hash of the experiment's name and the unit's id, for ever the same, and a part that was
given away is never taken back: so nobody moves, and nothing has to be remembered of anybody.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from axon.flags.bucketing import HASH_BITS, share_of
from axon.flags.errors import AllocationWrong

PLACES: Final = 10_000
"""On the line: shares are hundredths of a percent."""

PARTS_MAX: Final = 1_000
"""Of one line: each rise of a share adds one, or some."""


class Part(NamedTuple):
    """Neighbouring places that have one variant."""

    begins: int
    ends: int
    variant: str


class Allocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The line of one experiment."""

    experiment: str
    """Its name, which is part of what is hashed: another experiment mixes everybody anew."""
    parts: tuple[Part, ...] = ()
    """In order, without overlaps. Who stands between them has no variant of the experiment, and
    takes no part in it."""
    rest: str = ""
    """The control of a rollout: who stands between the parts has this variant, and takes part."""

    def variant_at(self, place: int) -> str:
        """Return the variant of a place; empty for none."""
        index = bisect_right(self.parts, place, key=_begins) - 1
        if index >= 0 and place < self.parts[index].ends:
            return self.parts[index].variant
        return self.rest

    def variant_of(self, unit_id: str) -> str:
        """Return the variant of a unit; empty for none."""
        return self.variant_at(place_of(self.experiment, unit_id))

    @property
    def variants(self) -> frozenset[str]:
        """Return the variants that somebody has."""
        return frozenset(part.variant for part in self.parts) | ({self.rest} - {""})

    def shares(self) -> dict[str, int]:
        """Return how many places each variant has; those of the rest too."""
        found: dict[str, int] = {}
        for part in self.parts:
            found[part.variant] = found.get(part.variant, 0) + part.ends - part.begins
        if self.rest:
            found[self.rest] = PLACES - sum(found.values())
        return found

    def raised(self, percents: Mapping[str, float]) -> "Allocation":
        """Return the line with these shares; who has a variant keeps it.

        Raises AllocationWrong, with the variant, for a share that falls, and for more than all.
        """
        wanted = {variant: _places(variant, percent) for variant, percent in percents.items()}
        has = {part.variant: 0 for part in self.parts}
        for part in self.parts:
            has[part.variant] += part.ends - part.begins
        for variant, places in has.items():
            if wanted.get(variant, 0) < places:
                why = f"has {places / 100:g} percent, and may only grow: nobody moves"
                raise AllocationWrong(variant, why)
        if self.rest in wanted:
            raise AllocationWrong(self.rest, "has whatever the others have not")
        if sum(wanted.values()) > PLACES:
            raise AllocationWrong(next(iter(wanted)), "all together are more than 100 percent")
        parts, free = list(self.parts), self._free()
        for variant, places in wanted.items():
            missing = places - has.get(variant, 0)
            while missing:
                begins, ends = free.pop(0)
                taken = min(ends - begins, missing)
                parts.append(Part(begins, begins + taken, variant))
                missing -= taken
                if begins + taken < ends:
                    free.insert(0, (begins + taken, ends))
        return Allocation(self.experiment, _joined(sorted(parts)), self.rest)

    def _free(self) -> list[tuple[int, int]]:
        ends = [0, *(part.ends for part in self.parts)]
        begins = [*(part.begins for part in self.parts), PLACES]
        return [(end, begin) for end, begin in zip(ends, begins, strict=True) if end < begin]


def place_of(experiment: str, unit_id: str) -> int:
    """Return where a unit stands on the line of an experiment: 0 to PLACES - 1, for ever."""
    return share_of("experiment", experiment, unit_id) * PLACES >> HASH_BITS


def read_allocation(text: str) -> Allocation:
    """Return the allocation in a flag's metadata; raises ValueError with what is wrong."""
    found = msgspec.json.decode(text, type=Allocation)  # its errors are ValueErrors
    reached = 0
    for part in found.parts:
        if not reached <= part.begins < part.ends <= PLACES:
            raise ValueError(f"a part from {part.begins} to {part.ends} after {reached}")
        reached = part.ends
    if not found.experiment or len(found.parts) > PARTS_MAX:
        raise ValueError(f"no experiment, or more than {PARTS_MAX} parts")
    return found


def write_allocation(allocation: Allocation) -> str:
    """Return what a flag's metadata says of it."""
    return msgspec.json.encode(allocation).decode()


def _begins(part: Part) -> int:
    return part.begins


def _places(variant: str, percent: float) -> int:
    places = round(percent * 100)
    if not 0 <= places <= PLACES or abs(places - percent * 100) > 1e-6:
        raise AllocationWrong(variant, "not a percent from 0 to 100 with at most two decimals")
    return places


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Return the parts, neighbours of one variant as one."""
    found: list[Part] = []
    for part in parts:
        if found and found[-1].ends == part.begins and found[-1].variant == part.variant:
            found[-1] = found[-1]._replace(ends=part.ends)
        else:
            found.append(part)
    return tuple(found)
