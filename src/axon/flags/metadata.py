"""Our extensions of flagd's format: primitives in a flag's `metadata`, read and checked.

Other readers of the format carry them along unread.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from axon.flags.allocation import Allocation, read_allocation
from axon.flags.bucketing import BUCKETINGS
from axon.flags.mistakes import Mistakes, Path
from axon.flags.rollout import Ramp, Rollout
from axon.flags.values import UNITS, JsonValue, Primitive

PREFIX: Final = "axon."

BUCKETING = "axon.bucketing"
"""v2 or v3: how `fractional` hashes. Pinned for as long as people must not move."""
UNIT = "axon.unit"
"""user, org or conversation: who is placed by splits, layers, holdouts and ramps."""
KILLED = "axon.killed"
"""true: off for everybody, whatever else is said. A guardrail may set it too."""
STARTS, ENDS = "axon.starts", "axon.ends"
"""Instants (RFC 3339) before and from which it is off."""
REQUIRES = "axon.requires."
"""With another flag's key behind it: that flag's variant without which this one is off; several
are separated by commas."""
HOLDOUT, HOLDOUT_PERCENT = "axon.holdout", "axon.holdout_percent"
"""A named part of all units for which every flag that names it is off."""
LAYER, LAYER_FROM, LAYER_TO = "axon.layer", "axon.layer_from", "axon.layer_to"
"""A named line along which all units stand, in percent: the flag applies to those from and below.
No two flags of a layer may share a part, so nobody is in both."""
RAMP = "axon.ramp"
"""Instants with percents, separated by commas (`2026-12-01T09:00:00Z 10, 2026-12-08T09:00:00Z
100`): to how many units it applies, growing evenly between two instants; two percents at one
instant are a step. Whoever is in stays in while it grows."""
EXPERIMENT = "axon.experiment"
"""The name of the experiment it belongs to."""
TURN = "axon.turn"
"""true: it is asked for every turn, and its variants say what they do to one (TurnEffect)."""

ALLOCATION = "axon.allocation"
"""Whom the experiment that runs on it gives which variant; experiments alone write it."""

RAMP_POINTS_MAX = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_metadata(given: JsonValue, path: Path, mistakes: Mistakes) -> dict[str, Primitive]:
    """Return the metadata of a flag or a set: any names, with primitive values."""
    if not isinstance(given, dict):
        mistakes.add(path, "not an object")
        return {}
    metadata: dict[str, Primitive] = {}
    for name, value in given.items():
        if isinstance(value, bool | int | float | str):
            metadata[name] = value
        else:
            mistakes.add(path / name, "not a text, a number, true or false")
    return metadata


def read_rollout(metadata: Mapping[str, Primitive], path: Path, mistakes: Mistakes) -> Rollout:
    """Return what a flag's metadata, with that of its set, says under our names."""
    found: dict[str, Any] = {}
    requires: dict[str, tuple[str, ...]] = {}
    for name, value in metadata.items():
        if not name.startswith(PREFIX):
            continue
        try:
            if name.startswith(REQUIRES):
                requires[name.removeprefix(REQUIRES)] = _variants(value)
            elif name in _READERS:
                found[_FIELDS[name]] = _READERS[name](value)
            else:
                mistakes.add(path / name, "there is no such name")
        except _Refused as refused:
            mistakes.add(path / name, str(refused))
    rollout = Rollout(**found, requires=tuple(requires.items()))
    _check(rollout, path, mistakes)
    return rollout


def _check(rollout: Rollout, path: Path, mistakes: Mistakes) -> None:
    if rollout.starts_us is not None and rollout.ends_us is not None:
        if rollout.ends_us <= rollout.starts_us:
            mistakes.add(path / ENDS, "it ends before it starts")
    if rollout.layer and rollout.layer_from >= rollout.layer_to:
        mistakes.add(path / LAYER_TO, f"not above {LAYER_FROM}: no part of the layer is left")
    if rollout.holdout and not rollout.holdout_percent:
        mistakes.add(path / HOLDOUT, f"holds nobody out without {HOLDOUT_PERCENT}")


class _Refused(Exception):
    """A value cannot be what its name asks for; the text says what is wrong."""


def _one_of(choices: tuple[str, ...]) -> Callable[[Primitive], str]:
    def read(value: Primitive) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _Refused(f"not one of {', '.join(choices)}")
        return value

    return read


def _name(value: Primitive) -> str:
    if not isinstance(value, str) or not value:
        raise _Refused("not a name")
    return value


def _truth(value: Primitive) -> bool:
    if not isinstance(value, bool):
        raise _Refused("not true or false")
    return value


def _percent(value: Primitive) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 100:
        raise _Refused("not a number from 0 to 100")
    return float(value)


def _instant(value: Primitive) -> int:
    """Return an RFC 3339 instant in microseconds since 1970."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise _Refused("not an instant with its zone, such as 2026-12-01T09:00:00Z")
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _ramp(value: Primitive) -> tuple[Ramp, ...]:
    points = value.split(",", RAMP_POINTS_MAX) if isinstance(value, str) else []
    if not 1 <= len(points) <= RAMP_POINTS_MAX:
        raise _Refused(f"not 1 to {RAMP_POINTS_MAX} instants with percents")
    ramp = []
    for point in points:
        instant, _, percent = point.strip().partition(" ")
        try:
            reached = float(percent.strip().removesuffix("%"))
        except ValueError:
            raise _Refused(f'"{point.strip()}" is not an instant and a percent') from None
        ramp.append(Ramp(_instant(instant), _percent(reached)))
    if any(later.at_us < earlier.at_us for earlier, later in pairwise(ramp)):
        raise _Refused("the instants are not in order")
    return tuple(ramp)


def _allocation(value: Primitive) -> Allocation:
    try:
        return read_allocation(value if isinstance(value, str) else "")
    except (ValueError, RecursionError) as error:
        raise _Refused(f"not an allocation: {error}") from error


def _variants(value: Primitive) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else []
    if not names or not all(names):
        raise _Refused("not a variant, nor several with commas between them")
    return tuple(names)


_READERS: dict[str, Callable[[Primitive], Any]] = {
    BUCKETING: _one_of(BUCKETINGS),
    UNIT: _one_of(UNITS),
    KILLED: _truth,
    STARTS: _instant,
    ENDS: _instant,
    HOLDOUT: _name,
    HOLDOUT_PERCENT: _percent,
    LAYER: _name,
    LAYER_FROM: _percent,
    LAYER_TO: _percent,
    RAMP: _ramp,
    EXPERIMENT: _name,
    TURN: _truth,
    ALLOCATION: _allocation,
}
"""Every name under our prefix with what reads it: any other name is a mistake, not a wish."""

_FIELDS = {
    **{name: name.removeprefix(PREFIX) for name in _READERS},
    STARTS: "starts_us",
    ENDS: "ends_us",
}
"""What a Rollout calls it."""
