"""The SQL of this room: alerts, endpoints, deliveries and every attempt of one."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import msgspec

from axon.alerts.alert import Alert

KEPT_US = 90 * 86_400_000_000
"""Alerts and what became of them; longer than any period in which one must not come again."""

FORGOTTEN_AT_ONCE = 1000

LISTED_MAX = 1000

_RAISE = """
INSERT INTO alerts.raised (id, org_id, kind, subject, period_us, raised_us, data)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
    $7::text[])
ON CONFLICT DO NOTHING RETURNING id
"""

_TELL = """
INSERT INTO alerts.deliveries (alert_id, endpoint_id, state, attempts, retries, next_us)
SELECT raised.id, endpoints.id, 'waiting', 0, 0, $2
FROM alerts.raised JOIN alerts.endpoints ON endpoints.org_id IN ('', raised.org_id)
WHERE raised.id = ANY($1) AND endpoints.ended_us = 0 AND ($3 = '' OR endpoints.id = $3)
ON CONFLICT DO NOTHING
"""

# Of each endpoint a few at most: one that never answers must not have all places.
_CLAIM = """
WITH ranked AS (
    SELECT alert_id, endpoint_id,
        row_number() OVER (PARTITION BY endpoint_id ORDER BY next_us, alert_id) AS place
    FROM alerts.deliveries WHERE state = 'waiting' AND next_us <= $1
), due AS (
    SELECT d.alert_id, d.endpoint_id
    FROM alerts.deliveries AS d JOIN ranked USING (alert_id, endpoint_id)
    WHERE place <= $4 AND d.state = 'waiting' AND d.next_us <= $1
    ORDER BY place, d.next_us LIMIT $3 FOR UPDATE OF d SKIP LOCKED
), claimed AS (
    UPDATE alerts.deliveries AS there SET next_us = $2, attempts = attempts + 1,
        retries = retries + 1
    FROM due WHERE (there.alert_id, there.endpoint_id) = (due.alert_id, due.endpoint_id)
    RETURNING there.*
)
SELECT claimed.alert_id, endpoint_id, attempts, retries, kind, raised.org_id, raised_us, data, url,
    kek_id, secret
FROM claimed JOIN alerts.raised ON raised.id = alert_id
JOIN alerts.endpoints ON endpoints.id = endpoint_id
ORDER BY raised_us, alert_id
"""

DELIVERIES = """
SELECT alert_id, kind, endpoint_id, state, attempts, next_us,
    coalesce(at_us, 0) AS at_us, coalesce(took_ms, 0) AS took_ms,
    coalesce(status, 0) AS status, coalesce(error, '') AS error
FROM alerts.deliveries JOIN alerts.raised ON raised.id = alert_id
LEFT JOIN LATERAL (SELECT at_us, took_ms, status, error FROM alerts.attempts AS a
    WHERE (a.alert_id, a.endpoint_id) = (deliveries.alert_id, deliveries.endpoint_id)
    ORDER BY number DESC LIMIT 1) AS last ON true
"""
"""Every delivery with its last attempt."""


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that was raised."""

    alert_id: str
    org_id: str
    kind: str
    subject: str
    period_us: int
    raised_us: int
    data: msgspec.Raw


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts are sent; never with its secret."""

    endpoint_id: str
    org_id: str
    """Empty: those of all organizations."""
    url: str
    created_us: int
    ended_us: int
    """When it was removed, or said itself that it is gone; 0 while it is used."""
    ended_why: str


class Tried(NamedTuple):
    """What one attempt came to."""

    at_us: int
    took_ms: int
    status: int
    """0 when there was no answer."""
    error: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The last attempt of a delivery, or that there was none yet."""

    alert_id: str
    kind: str
    endpoint_id: str
    state: str
    attempts: int
    next_us: int
    """When it is tried again, while it waits."""
    at_us: int
    took_ms: int
    status: int
    error: str


async def raise_alerts(
    connection: asyncpg.Connection, alerts: Sequence[Alert], now_us: int
) -> list[Alert]:
    """Raise those that are new, to be sent to every endpoint they concern; return them.

    Within the caller's transaction.
    """
    by_id = {alert.alert_id: alert for alert in alerts}
    columns = [
        (
            alert_id,
            alert.org_id,
            alert.kind,
            alert.subject,
            alert.period_us,
            now_us,
            msgspec.json.encode(alert.data).decode(),
        )
        for alert_id, alert in by_id.items()
    ]
    rows = await connection.fetch(_RAISE, *zip(*columns, strict=True)) if columns else []
    fresh = [row["id"] for row in rows]
    await tell(connection, fresh, now_us)
    return [by_id[alert_id] for alert_id in fresh]


async def tell(
    connection: asyncpg.Connection, alert_ids: Sequence[str], now_us: int, endpoint_id: str = ""
) -> int:
    """Have alerts sent to the endpoints they concern, or to one of them; return how many times."""
    done = await connection.execute(_TELL, alert_ids, now_us, endpoint_id)
    return int(done.rpartition(" ")[2])


async def claim(
    connection: asyncpg.Connection, now_us: int, until_us: int, most: tuple[int, int]
) -> list[asyncpg.Record]:
    """Return deliveries that are due; nobody else gets them before `until_us`.

    `most` is how many at most, and how many of one endpoint.
    """
    return list(await connection.fetch(_CLAIM, now_us, until_us, *most))


async def settle(
    connection: asyncpg.Connection, delivery: asyncpg.Record, tried: Tried, state: str, next_us: int
) -> None:
    """Write down an attempt and what follows from it, within the caller's transaction."""
    place = delivery["alert_id"], delivery["endpoint_id"]
    await connection.execute(
        "INSERT INTO alerts.attempts VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        *place,
        delivery["attempts"],
        *tried,
    )
    await connection.execute(
        "UPDATE alerts.deliveries SET state = $3, next_us = $4"
        " WHERE alert_id = $1 AND endpoint_id = $2 AND attempts = $5",
        *place,
        state,
        next_us,
        delivery["attempts"],
    )


async def endpoints(connection: asyncpg.Connection) -> list[Endpoint]:
    """Return every endpoint, oldest first, also those that have ended."""
    rows = await connection.fetch(
        "SELECT id AS endpoint_id, org_id, url, created_us, ended_us, ended_why"
        " FROM alerts.endpoints ORDER BY created_us, id"
    )
    return [Endpoint(**row) for row in rows]


async def end_endpoint(
    connection: asyncpg.Connection, endpoint_id: str, now_us: int, why: str
) -> bool:
    """End an endpoint and what waits for it, and forget its secret; return whether it was used."""
    ended = await connection.execute(
        "UPDATE alerts.endpoints SET ended_us = $2, ended_why = $3, secret = ''"
        " WHERE id = $1 AND ended_us = 0",
        endpoint_id,
        now_us,
        why,
    )
    await connection.execute(
        "UPDATE alerts.deliveries SET state = 'failed'"
        " WHERE endpoint_id = $1 AND state = 'waiting'",
        endpoint_id,
    )
    return bool(ended == "UPDATE 1")


async def raised(connection: asyncpg.Connection, org_id: str) -> list[Raised]:
    """Return the newest alerts, of one organization or ('') of all, newest first."""
    rows = await connection.fetch(
        "SELECT id AS alert_id, org_id, kind, subject, period_us, raised_us, data"
        " FROM alerts.raised WHERE $1 = '' OR org_id = $1 ORDER BY raised_us DESC, id LIMIT $2",
        org_id,
        LISTED_MAX,
    )
    return [Raised(**{**row, "data": msgspec.Raw(row["data"])}) for row in rows]


async def deliveries(connection: asyncpg.Connection, alert_id: str) -> list[Attempt]:
    """Return the newest deliveries with their last attempt, of one alert or ('') of all."""
    rows = await connection.fetch(
        f"{DELIVERIES} WHERE $1 = '' OR alert_id = $1"
        " ORDER BY raised_us DESC, alert_id, endpoint_id LIMIT $2",
        alert_id,
        LISTED_MAX,
    )
    return [Attempt(**row) for row in rows]


async def redeliver(
    connection: asyncpg.Connection, alert_id: str, endpoint_id: str, now_us: int
) -> int:
    """Have an alert sent again, also to endpoints that came after it; return to how many."""
    await connection.execute(
        "UPDATE alerts.deliveries SET state = 'waiting', retries = 0, next_us = $3"
        " FROM alerts.endpoints WHERE endpoints.id = endpoint_id AND ended_us = 0"
        " AND alert_id = $1 AND ($2 = '' OR endpoint_id = $2)",
        alert_id,
        endpoint_id,
        now_us,
    )
    await tell(connection, [alert_id], now_us, endpoint_id)
    count: int = await connection.fetchval(
        "SELECT count(*) FROM alerts.deliveries WHERE state = 'waiting'"
        " AND alert_id = $1 AND ($2 = '' OR endpoint_id = $2)",
        alert_id,
        endpoint_id,
    )
    return count


async def forget(connection: asyncpg.Connection, now_us: int) -> None:
    """Forget the oldest of what nobody needs any more, a bounded part of it."""
    await connection.execute(
        "DELETE FROM alerts.raised WHERE id IN"
        " (SELECT id FROM alerts.raised WHERE raised_us < $1 ORDER BY raised_us LIMIT $2)",
        now_us - KEPT_US,
        FORGOTTEN_AT_ONCE,
    )
