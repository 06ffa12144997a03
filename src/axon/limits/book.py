"""What this process knows of an organization's counters: its own part, exactly."""

import asyncio

import msgspec

from axon.limits.calendar import DAY_US
from axon.limits.rules import Rule
from axon.records import Charge, Hold, TurnCompleted, TurnInterrupted

RESTS_AFTER_S = 600.0
"""An organization that asks nothing for so long has no slice set aside any more: what it costs to
tell Valkey of each is paid for those alone that work."""

Key = tuple[str, int]
"""A counter: its bucket and the beginning of its period."""


class Spent(msgspec.Struct, frozen=True):
    """What a turn used in the end."""

    tokens: int
    charge: Charge

    def of(self, hold: Hold) -> int:
        """Return how much of it counts for one limit."""
        if hold.measure == "requests":
            return 1
        if hold.measure == "tokens":
            return self.tokens
        paid = hold.measure == "money" and hold.currency == self.charge.currency
        return self.charge.cost_nano if paid else 0


def spent_by(ended: TurnCompleted | TurnInterrupted) -> Spent:
    """Return what the record says that the turn used."""
    usage = ended.usage
    return Spent(usage.input_tokens + usage.output_tokens, ended.charge)


class Counter(msgspec.Struct, kw_only=True):
    """One counter, as far as this process's turns are concerned."""

    hold: Hold
    """Any that counts there."""
    expires_ms: int
    """Wall time at which Valkey may forget it."""
    rule: Rule | None = None
    """None until somebody asked for a turn by it; it may have changed since the turn began."""
    used: int = 0
    """By ended turns of this process's journal, in all its lives; see `loaded`."""
    loaded: bool = False
    """Whether `used` has what the lives before this one used."""
    loaded_through: int = 0
    """The entry of this process's journal up to which PostgreSQL had counted when it was loaded."""
    told: str = ""
    """The epoch in which Valkey was told of this process's part."""
    held: int = 0
    """By running turns."""
    slice: int = 0
    """What may be given away while Valkey is not there."""
    used_by_all: int = 0
    """As Valkey last said; the own slice is not in it."""
    settled_by_all: int = 0
    """The same without what running turns hold back."""
    largest: int = 0
    """The most that one turn has held back."""

    @property
    def key(self) -> Key:
        """Return what tells it from others of the organization."""
        return self.hold.bucket, self.hold.start_us

    @property
    def durable(self) -> bool:
        """Return whether it counts over a day or a month."""
        return self.hold.period in ("day", "month")


class OrgBook:
    """The counters of one organization."""

    def __init__(self, org_id: str) -> None:
        """Valkey has been told nothing of it."""
        self.org_id = org_id
        self.epoch = ""
        """Under which Valkey knows this process's part; empty when it must be told anew."""
        self.counters: dict[Key, Counter] = {}
        self.lock = asyncio.Lock()
        """Held while Valkey is told; nobody is admitted meanwhile."""
        self.slicing = asyncio.Lock()
        """Held while slices are asked for."""
        self.was_told = False
        """Whether Valkey was told of it before."""
        self.asking = 0
        """Admissions that Valkey has not answered."""
        self.answered = asyncio.Event()
        self.lease_until_s = 0.0
        """Monotonic; what Valkey holds back for this process stays so until then."""
        self.asked_s = 0.0
        """Monotonic; when somebody last wanted to know."""

    def rests(self, now_s: float) -> bool:
        """Return whether nobody has asked for long, and no turn holds anything back."""
        long_ago = now_s - self.asked_s > RESTS_AFTER_S
        return long_ago and not any(one.held for one in self.counters.values())

    def counter(self, hold: Hold, expires_us: int) -> Counter:
        """Return the counter a hold counts in."""
        key = hold.bucket, hold.start_us
        found = self.counters.get(key)
        if found is None:
            expires_ms = (expires_us + DAY_US) // 1000
            found = self.counters[key] = Counter(hold=hold, expires_ms=expires_ms)
            found.loaded = not found.durable
        return found

    def lacks(self, counter: Counter) -> bool:
        """Return whether Valkey must be told of the counter before anybody is admitted by it."""
        if counter.told == self.epoch:
            return not self.epoch
        return counter.durable or bool(counter.held or counter.used)

    def forget_past(self, now_us: int) -> None:
        """Forget the counters of periods that are long over and hold nothing back."""
        now_ms = now_us // 1000
        past = [one for one in self.counters.values() if one.expires_ms < now_ms and not one.held]
        for one in past:
            del self.counters[one.key]
