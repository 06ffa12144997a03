"""What keeps a month from being closed: that it runs, that turns are missing, that sums differ."""

from collections.abc import Sequence

import asyncpg

from axon.base import utc_from_us
from axon.billing import close_store
from axon.billing.counting import Scope
from axon.billing.errors import MonthNotOver, ProjectorBehind, SumsDiffer
from axon.billing.invoice import Invoice


def refuse_early(ends_us: int, now_us: int, caught_up_us: int | None) -> None:
    """Raise MonthNotOver before the month's end, ProjectorBehind while turns may be missing."""
    ends = utc_from_us(ends_us).isoformat(timespec="minutes")
    if now_us < ends_us:
        raise MonthNotOver(f"it ends at {ends}")
    if caught_up_us is not None and caught_up_us < ends_us:
        seen = utc_from_us(max(0, caught_up_us)).isoformat(timespec="seconds")
        raise ProjectorBehind(f"it has what was accepted by {seen}; the month ended at {ends}")


async def refuse_different(
    connection: asyncpg.Connection, scope: Scope, drafts: Sequence[Invoice]
) -> None:
    """Raise SumsDiffer unless all invoices, these included, come to what metering's sums say."""
    billed = await close_store.billed_nano(connection, scope.org_id)
    for draft in drafts:
        billed[draft.currency] = billed.get(draft.currency, 0) + draft.amount_nano
    metered = await close_store.metered_nano(connection, scope.org_id, scope.ends_us)
    for currency in sorted({*billed, *metered}):
        if billed.get(currency, 0) != metered.get(currency, 0):
            raise SumsDiffer(
                f"{currency}: {billed.get(currency, 0)} nano-units billed, "
                f"{metered.get(currency, 0)} metered"
            )
