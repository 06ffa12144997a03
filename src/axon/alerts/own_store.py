"""The SQL of what an organization sees: its own alerts, webhooks and deliveries."""

import asyncpg
import msgspec

from axon.alerts.store import DELIVERIES, LISTED_MAX, Attempt, Endpoint, Raised, redeliver


async def owns_alert(connection: asyncpg.Connection, org_id: str, alert_id: str) -> bool:
    """Return whether there is such an alert, and it is of this organization."""
    if "\0" in alert_id:  # PostgreSQL knows none, and no id has one
        return False
    sql = "SELECT true FROM alerts.raised WHERE id = $1 AND org_id = $2"
    return bool(await connection.fetchval(sql, alert_id, org_id))


async def own_page(
    connection: asyncpg.Connection, org_id: str, after: str, limit: int
) -> list[Raised]:
    """Return an organization's alerts, newest first, from those raised before `after` on."""
    rows = await connection.fetch(
        "SELECT id AS alert_id, org_id, kind, subject, period_us, raised_us, data"
        " FROM alerts.raised WHERE org_id = $1 AND ($2 = '' OR (raised_us, id) <"
        "   (SELECT raised_us, id FROM alerts.raised WHERE id = $2))"
        " ORDER BY raised_us DESC, id DESC LIMIT $3",
        org_id,
        after,
        limit,
    )
    return [Raised(**{**row, "data": msgspec.Raw(row["data"])}) for row in rows]


async def living_endpoints(connection: asyncpg.Connection, org_id: str) -> list[Endpoint]:
    """Return an organization's webhooks that are used, oldest first."""
    rows = await connection.fetch(
        "SELECT id AS endpoint_id, org_id, url, created_us, ended_us, ended_why"
        " FROM alerts.endpoints WHERE org_id = $1 AND ended_us = 0 ORDER BY created_us, id",
        org_id,
    )
    return [Endpoint(**row) for row in rows]


async def own_deliveries(
    connection: asyncpg.Connection, org_id: str, alert_id: str
) -> list[Attempt]:
    """Return the deliveries of an alert to an organization's webhooks, with their last attempt."""
    rows = await connection.fetch(
        f"{DELIVERIES} JOIN alerts.endpoints ON endpoints.id = endpoint_id"
        " WHERE alert_id = $1 AND endpoints.org_id = $2 ORDER BY created_us, endpoint_id LIMIT $3",
        alert_id,
        org_id,
        LISTED_MAX,
    )
    return [Attempt(**row) for row in rows]


async def redeliver_own(
    connection: asyncpg.Connection, org_id: str, alert_id: str, now_us: int
) -> int:
    """Have an alert sent again to an organization's webhooks; return to how many."""
    endpoints = await living_endpoints(connection, org_id)
    return sum(
        [await redeliver(connection, alert_id, one.endpoint_id, now_us) for one in endpoints]
    )
