"""What is raised: a kind, whose it is, what it is about and in which period."""

import hashlib

import msgspec

from axon.base import utc_from_us

OVERAGE = "limit.overage"
PROJECTED = "budget.projected"
ANOMALY = "spend.anomaly"
GUARDRAIL = "experiment.guardrail"
STOPPED = "experiment.stopped"
TEST = "alert.test"

THRESHOLDS = (50, 80, 100)
"""Percent of a limit; the kinds are `limit.used.50` and so on."""

KINDS = (
    *(f"limit.used.{percent}" for percent in THRESHOLDS),
    *(OVERAGE, PROJECTED, ANOMALY, GUARDRAIL, STOPPED, TEST),
)

Facts = dict[str, str | int | None]

_ID_DIGITS = 32


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. The same kind, organization, subject and period are the same alert."""

    kind: str
    org_id: str
    subject: str
    """The counter of a limit, a currency, or an experiment."""
    period_us: int
    """When the period began; for what happens once, when it happened."""
    data: Facts
    """What its receiver is told; amounts of money are in nano-units."""

    @property
    def alert_id(self) -> str:
        """Return the id, the same whoever raises it; receivers dedupe by it."""
        parts = "\0".join((self.kind, self.org_id, self.subject, str(self.period_us)))
        return f"alert_{hashlib.sha256(parts.encode()).hexdigest()[:_ID_DIGITS]}"


def instant(instant_us: int) -> str:
    """Return an instant as receivers get it, RFC 3339 in UTC."""
    return utc_from_us(instant_us).isoformat(timespec="seconds").replace("+00:00", "Z")
