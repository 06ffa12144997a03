"""Which turns the next invoice of an organization is about."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import asyncpg

from axon.billing.close_store import Org, close_of, first_turn_us, last_close
from axon.billing.counting import Scope
from axon.billing.errors import EarlierMonthOpen
from axon.billing.months import Month, month_at, month_named
from axon.billing.places import NOWHERE, Places, places_now, places_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    """A month of an organization, with its exact bounds."""

    org_id: str
    month: Month
    zone: ZoneInfo
    starts_us: int
    ends_us: int


async def next_scope(connection: asyncpg.Connection, org: Org, month: Month) -> Scope | None:
    """Return what billing a month would be about; None when there is nothing up to its end.

    It begins where the month before was closed, whatever has become of the time zone since. Raises
    EarlierMonthOpen. The caller has made sure that no month from this one on is closed.
    """
    zone = ZoneInfo(org.time_zone)
    ends_us = month.next().begins_us(zone)
    last = await last_close(connection, org.org_id)
    if last is not None:
        open_month = month_named(last.month).next()
    else:
        first_us = await first_turn_us(connection, org.org_id)
        if first_us is None or first_us >= ends_us:
            return None
        open_month = min(month_at(first_us, zone), month)
    if open_month < month:
        raise EarlierMonthOpen(f"{open_month} of {org.name}: close it first")
    period = _Period(
        org_id=org.org_id,
        month=month,
        zone=zone,
        starts_us=month.begins_us(zone) if last is None else last.ends_us,
        ends_us=ends_us,
    )
    before = NOWHERE if last is None else await places_of(connection, last.close_id)
    return await _scope(connection, period, before, await places_now(connection))


async def scope_of(
    connection: asyncpg.Connection, org_id: str, time_zone: str, close_id: str
) -> Scope:
    """Return what a close was about."""
    closed, after_id = await close_of(connection, close_id)
    period = _Period(
        org_id=org_id,
        month=month_named(closed.month),
        zone=ZoneInfo(time_zone),
        starts_us=closed.starts_us,
        ends_us=closed.ends_us,
    )
    before = await places_of(connection, after_id) if after_id else NOWHERE
    return await _scope(connection, period, before, await places_of(connection, close_id))


async def _scope(
    connection: asyncpg.Connection, period: _Period, before: Places, now: Places
) -> Scope:
    """Return the scope with the months from that of the first turn on."""
    first_us = await first_turn_us(connection, period.org_id)
    months = [period.month.before()]
    if first_us is not None:
        months = [min(month_at(first_us, period.zone), months[0])]
    edges = []
    while (month := months[-1].next()) < period.month:
        begins_us = month.begins_us(period.zone)
        if begins_us >= period.starts_us:
            break
        months.append(month)
        edges.append(begins_us)
    return Scope(
        org_id=period.org_id,
        starts_us=period.starts_us,
        ends_us=period.ends_us,
        edges=(*edges, period.starts_us),
        months=(*months, period.month),
        before=before,
        now=now,
    )
