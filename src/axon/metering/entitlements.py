"""Entitlements: may a subject use a feature now, by what a meter says of the running period?"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import msgspec

from axon.metering.errors import UnknownEntitlement
from axon.metering.meter_sums import EXACT, MeterQuestion, MeterSums
from axon.metering.meters import SUBJECT, Meters
from axon.metering.periods import period_of, zone_named


class Entitlement(msgspec.Struct, frozen=True, kw_only=True):
    """What every subject is entitled to, by the key of a feature."""

    key: str
    meter: str = ""
    """The meter that it is measured by; empty for one that is not measured."""
    amount: Decimal = Decimal(0)
    """What the meter may come to in a period."""
    period: Literal["day", "month"] = "month"
    """By the calendar of the organization's time zone."""
    config: str = ""
    """JSON of the operator's, which is handed out as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementValue:
    """How an entitlement stands; the figures are None where nothing is measured."""

    has_access: bool
    usage: Decimal | None = None
    balance: Decimal | None = None
    """What is left, never below 0."""
    overage: Decimal | None = None
    """What was used beyond the amount."""
    amount: Decimal | None = None
    config: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose entitlement it is."""

    org_id: str
    time_zone: str
    subject: str


class Entitlements:
    """The entitlements of the configuration, and how each stands."""

    def __init__(
        self, entitlements: Iterable[Entitlement], meters: Meters, sums: MeterSums
    ) -> None:
        """Their meters are among `meters`."""
        self._by_key = {one.key: one for one in entitlements}
        self._meters = meters
        self._sums = sums

    async def value(self, holder: Holder, key: str, at_us: int) -> EntitlementValue:
        """Return how the entitlement stands in the period of `at_us`, as far as it has come.

        Raises UnknownEntitlement, and UsageUnavailable when nobody can tell.
        """
        one = self._by_key.get(key)
        if one is None:
            raise UnknownEntitlement(key)
        if not one.meter:
            return EntitlementValue(has_access=True, config=one.config)
        period = period_of(at_us, one.period, zone_named(holder.time_zone))
        sums = await self._sums.ask(
            MeterQuestion(
                org_id=holder.org_id,
                meter=self._meters.named(one.meter),
                from_us=period.start_us,
                to_us=at_us + 1,
                subjects=(holder.subject,),
                group_by=(SUBJECT,),
            )
        )
        usage = sums[0].value if sums else Decimal(0)
        return EntitlementValue(
            has_access=usage < one.amount,
            usage=usage,
            balance=max(EXACT.subtract(one.amount, usage), Decimal(0)),
            overage=max(EXACT.subtract(usage, one.amount), Decimal(0)),
            amount=one.amount,
            config=one.config,
        )
