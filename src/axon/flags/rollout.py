"""To whom and when a flag applies at all, before its targeting is asked.

Where it does not apply it is off, as if its state were DISABLED.
"""

from typing import NamedTuple

from axon.flags.allocation import Allocation
from axon.flags.bucketing import BUCKETING_DEFAULT, HASHES, share_of


class Ramp(NamedTuple):
    """From one instant on, a percent; the next one is neared evenly."""

    at_us: int
    percent: float


class Rollout(NamedTuple):
    """What the metadata of one flag says (axon.flags.metadata tells of the names)."""

    bucketing: str = BUCKETING_DEFAULT
    unit: str = "user"
    killed: bool = False
    starts_us: int | None = None
    ends_us: int | None = None
    requires: tuple[tuple[str, tuple[str, ...]], ...] = ()
    holdout: str = ""
    holdout_percent: float = 0.0
    layer: str = ""
    layer_from: float = 0.0
    layer_to: float = 0.0
    ramp: tuple[Ramp, ...] = ()
    experiment: str = ""
    turn: bool = False
    allocation: Allocation | None = None

    @property
    def switches(self) -> bool:
        """Return whether it may be off by time, or by other flags."""
        return self.starts_us is not None or self.ends_us is not None or bool(self.requires)

    @property
    def places(self) -> bool:
        """Return whether it applies to a part of all units."""
        return bool(self.holdout or self.layer or self.ramp)

    def out_of_time(self, now_us: int) -> str:
        """Return why it is off at an instant, empty when it is not."""
        if self.starts_us is not None and now_us < self.starts_us:
            return "it has not started"
        if self.ends_us is not None and now_us >= self.ends_us:
            return "it has ended"
        return ""

    def out_of_place(self, key: str, unit_id: str, now_us: int) -> str:
        """Return why it is off for a unit, empty when it is not."""
        if self.holdout:
            held = share_of("holdout", self.holdout, unit_id)
            if held < _hashes(self.holdout_percent):
                return f'held out by "{self.holdout}"'
        if self.layer:
            stands = share_of("layer", self.layer, unit_id)
            if not _hashes(self.layer_from) <= stands < _hashes(self.layer_to):
                return f'another part of the layer "{self.layer}"'
        if self.ramp and share_of("ramp", key, unit_id) >= _hashes(percent_at(self.ramp, now_us)):
            return "the ramp has not reached it"
        return ""


def percent_at(ramp: tuple[Ramp, ...], now_us: int) -> float:
    """Return the percent of all units a ramp reaches at an instant; 0 before it begins."""
    before: Ramp | None = None
    for point in ramp:
        if now_us < point.at_us:
            if before is None:
                return 0.0
            passed = (now_us - before.at_us) / (point.at_us - before.at_us)
            return before.percent + (point.percent - before.percent) * passed
        before = point
    return ramp[-1].percent


def _hashes(percent: float) -> int:
    return round(percent * HASHES / 100)
