"""The rules: to whom one applies, what it counts and how much it allows; and finding them."""

import msgspec

from axon.limits.calendar import Period, period_at
from axon.limits.values import Asked, RuleState
from axon.records import Hold

MEASURES = ("requests", "tokens", "concurrent", "money")
KINDS = ("hard", "soft", "overage")
APART = ("user", "key", "model")

AMOUNT_MAX = 2**53 - 1
"""Valkey's functions compare doubles, which are exact up to here: nine million in nano-units."""

UTC = "UTC"
_NO_PERIOD = Period(0, 0)
_MATCHES_KEPT = 10_000
"""Organizations whose rules are remembered; more are looked up again."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One limit. An empty selector fits everybody; all that are given must fit."""

    rule_id: str
    measure: str
    period: str
    """Empty for concurrent turns."""
    amount: int
    currency: str = ""
    """Of money, as prices name it: the rule is about turns that are paid in it, and no others."""
    kind: str = "hard"
    """hard refuses beyond `amount` and `grace`; soft and overage only flag what goes beyond, as
    a warning or as what is paid for."""
    grace: int = 0
    overage_percent: int = 0
    """Of kind overage: by how much what goes beyond `amount` costs more than its price."""
    tier: str = ""
    org_id: str = ""
    user: int = -1
    credential_id: str = ""
    model: str = ""
    apart: tuple[str, ...] = ()
    """Of what each has a counter of its own: user, key, model. An organization always has."""

    @property
    def durable(self) -> bool:
        """Return whether what was used survives everything: of a day or a month."""
        return self.period in ("day", "month")

    @property
    def ceiling(self) -> int:
        """Return what is never passed; AMOUNT_MAX when nothing is refused."""
        return self.amount + self.grace if self.kind == "hard" else AMOUNT_MAX

    def fits(self, asked: Asked) -> bool:
        """Return whether it applies, to one of its organization or tier."""
        return (
            self.user in (-1, asked.user)
            and self.credential_id in ("", asked.credential_id)
            and self.model in ("", asked.model)
        )

    def hold(self, asked: Asked, time_zone: str) -> Hold:
        """Return what the turn holds back of it; `asked` has the dearest overage in its cost."""
        parts = [self.rule_id]
        if self.currency:  # what was counted in another one is not part of this
            parts.append(self.currency)
        if "user" in self.apart:
            parts.append(f"{asked.user:x}")
        if "key" in self.apart:
            parts.append(asked.credential_id)
        if "model" in self.apart:
            parts.append(asked.model)
        start_us = self.when(asked, time_zone).start_us
        amount = 1
        if self.measure == "tokens":
            amount = asked.tokens
        elif self.measure == "money":
            amount = asked.cost_nano
        bucket = "/".join(parts)
        return Hold(bucket, self.measure, self.period, start_us, amount, self.currency)

    def when(self, asked: Asked, time_zone: str) -> Period:
        """Return the period in which the turn was accepted; concurrent turns have none."""
        return period_at(self.period, asked.at_us, time_zone) if self.period else _NO_PERIOD

    def state(self, used: int, asked: int, resets_us: int) -> RuleState:
        """Return how it stands, with so much used before `asked`."""
        return RuleState(
            rule_id=self.rule_id,
            measure=self.measure,
            period=self.period,
            currency=self.currency,
            kind=self.kind,
            overage_percent=self.overage_percent,
            amount=self.amount,
            used=used,
            asked=asked,
            resets_us=resets_us,
        )


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of rules that organizations are put into; the rules name it."""

    name: str
    description: str = ""
    share: int = 0
    """Percent of the slots that its jobs get while others wait, and of the places in the queue that
    nobody else may take. 0: what those with a share leave, together with all others without one."""


class QueueShare(msgspec.Struct, frozen=True, gc=False):
    """How a turn's job waits for a slot."""

    row: int = 0
    """0 with all others that have no share."""
    weight: int = 100
    """Percent of the slots for its row while other rows wait as well."""


NO_SHARES = QueueShare()


class Defined(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is defined, as of one version."""

    version: int = 0
    tiers: tuple[Tier, ...] = ()
    rules: tuple[Rule, ...] = ()
    time_zones: dict[str, str] = {}
    """Of organizations whose days and months are not those of UTC."""


class Rules:
    """Finds the rules of a turn in memory."""

    def __init__(self, defined: Defined) -> None:
        """Nothing that is asked waits for anything."""
        self.defined = defined
        self._known: dict[tuple[str, str], tuple[Rule, ...]] = {}
        sharing = [tier for tier in defined.tiers if tier.share]
        self._shares = {
            tier.name: QueueShare(row, tier.share) for row, tier in enumerate(sharing, start=1)
        }
        self._rest = QueueShare(0, 100 - sum(tier.share for tier in sharing))

    def share(self, tier: str) -> QueueShare:
        """Return how the jobs of a tier wait for slots; a look-up."""
        return self._shares.get(tier, self._rest)

    def of(self, asked: Asked) -> tuple[Rule, ...]:
        """Return the rules that apply to a caller, whatever its turns cost in what currency."""
        found = self.of_organization(asked.org_id, asked.tier)
        return tuple([rule for rule in found if rule.fits(asked)]) if found else found

    def of_organization(self, org_id: str, tier: str) -> tuple[Rule, ...]:
        """Return the rules that may apply to anybody of an organization; a look-up."""
        found = self._known.get((org_id, tier))
        return self._find(org_id, tier) if found is None else found

    def of_turn(self, asked: Asked) -> tuple[Rule, ...]:
        """Return the rules that apply to a turn: of money only those of its price's currency."""
        return tuple([rule for rule in self.of(asked) if rule.currency in ("", asked.currency)])

    def time_zone(self, org_id: str) -> str:
        """Return the zone whose days and months count for the organization."""
        return self.defined.time_zones.get(org_id, UTC)

    def _find(self, org_id: str, tier: str) -> tuple[Rule, ...]:
        found = tuple(
            rule
            for rule in self.defined.rules
            if rule.org_id in ("", org_id) and rule.tier in ("", tier)
        )
        if len(self._known) >= _MATCHES_KEPT:
            self._known.clear()
        self._known[org_id, tier] = found
        return found
