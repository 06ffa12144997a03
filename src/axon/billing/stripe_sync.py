"""Tells Stripe what each linked organization's hours cost, each difference once."""

from dataclasses import dataclass

import asyncpg

from axon.base import MICROS_PER_SECOND, Clock
from axon.billing.months import month_named
from axon.billing.stripe_api import HOUR_US, Amount, Report, StripeApi, StripeRefused
from axon.billing.stripe_rejected import REJECTED_MAX
from axon.billing.stripe_reports import Reports
from axon.stores import Postgres

TIMEOUT_S = 60.0
"""Of one statement; the hours since an organization was linked are some ten thousand a year."""

SETTLE_US = 900 * MICROS_PER_SECOND
"""How long an hour is left alone after its end, so that most of it is told in one event."""

DAY_US = 24 * HOUR_US

UNSURE_US = 23 * HOUR_US
"""Stripe knows an identifier for 24 hours at least: after that it is asked for the hour first."""

OLDEST_US = 34 * DAY_US
"""Stripe takes events of the last 35 days; an older hour is told as of now."""

ROUND_EVENTS_MAX = 500
"""Events sent in one round."""

_LOCK = "LOCK TABLE billing.stripe_events IN SHARE ROW EXCLUSIVE MODE"

_GATHER = """
INSERT INTO billing.stripe_events (identifier, org_id, currency, hour_us, number, value_nano)
SELECT concat('axon-', org_id, '-', lower(currency), '-', hour_us / $2, '-', number), org_id,
    currency, hour_us, number, value_nano
FROM (
    SELECT m.org_id, m.currency, m.hour_us, coalesce(t.number, 0) + 1 AS number,
        m.cost_nano - coalesce(t.value_nano, 0) AS value_nano
    FROM (
        SELECT q.org_id, q.currency, q.begins_us / $2 * $2 AS hour_us,
            sum(q.cost_nano)::bigint AS cost_nano
        FROM metering.org_usage_quarters AS q JOIN billing.stripe_customers AS c USING (org_id)
        WHERE q.begins_us >= c.since_us AND q.begins_us < $1 AND q.currency <> ''
        GROUP BY 1, 2, 3
    ) AS m
    LEFT JOIN (
        SELECT org_id, currency, hour_us, max(number) AS number,
            sum(value_nano) FILTER (WHERE state IN ('due', 'sent'))::bigint AS value_nano,
            count(*) FILTER (WHERE state = 'rejected') AS rejected
        FROM billing.stripe_events GROUP BY 1, 2, 3
    ) AS t USING (org_id, currency, hour_us)
    WHERE coalesce(t.rejected, 0) < $3
) AS told
WHERE value_nano <> 0
"""

_DUE = """
SELECT e.*, c.customer_id FROM billing.stripe_events AS e
JOIN billing.stripe_customers AS c USING (org_id)
WHERE e.state = 'due' ORDER BY e.hour_us, e.identifier LIMIT $1
"""

_SENT_OF_HOUR = """
SELECT coalesce(sum(value_nano), 0)::bigint FROM billing.stripe_events
WHERE org_id = $1 AND currency = $2 AND at_us / $4 = $3 / $4 AND state = 'sent'
"""

_HOURS = """
SELECT e.org_id, c.customer_id, e.currency, e.at_us / $3 * $3 AS hour_us,
    coalesce(sum(e.value_nano) FILTER (WHERE e.state = 'sent'), 0)::bigint AS sent_nano
FROM billing.stripe_events AS e JOIN billing.stripe_customers AS c USING (org_id)
WHERE e.at_us >= $1 AND e.at_us < $2 GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """How an organization is linked to a customer of Stripe's."""

    customer_id: str = ""
    """Empty: one is made."""
    email: str = ""
    """Of one that is made: where Stripe sends invoices."""
    invoices_from: str | None = None
    """The invoices of this month and later ones become Stripe's; with "" none do."""


AS_IT_IS = Linking()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one round did."""

    gathered: int = 0
    sent: int = 0
    rejected: int = 0
    due: int = 0
    """What is left for the next round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourDiffers:
    """An hour of which Stripe has something else than it was sent."""

    org_id: str
    currency: str
    hour_us: int
    sent_nano: int
    stripe_nano: int


class StripeSync:
    """Keeps Stripe's meters as metering has it; several may run at once.

    Its outbox says how far it is: what was sent, when, and what became of it. Every method raises
    PostgresAway and StripeAway, and may be called again at any time.
    """

    def __init__(self, postgres: Postgres, clock: Clock, stripe: StripeApi) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._clock = clock
        self._stripe = stripe
        self._reports = Reports(postgres, clock)

    async def link(self, org_id: str, name: str, wanted: Linking = AS_IT_IS) -> str:
        """Have an organization's cost told from the current hour on; return its customer's id.

        Linked again only `invoices_from` changes. Raises MonthWrong, and StripeRefused for another
        customer.
        """
        if wanted.invoices_from:
            month_named(wanted.invoices_from)
        async with self._postgres.connection(TIMEOUT_S) as connection:
            sql = "SELECT customer_id FROM billing.stripe_customers WHERE org_id = $1"
            known: str | None = await connection.fetchval(sql, org_id)
        if known is None:
            made = wanted.customer_id or await self._stripe.create_customer(
                org_id, name, wanted.email
            )
            since_us = self._clock.now_us() // HOUR_US * HOUR_US
            async with self._postgres.connection(TIMEOUT_S) as connection:
                await connection.execute(
                    "INSERT INTO billing.stripe_customers (org_id, customer_id, since_us)"
                    " VALUES ($1, $2, $3)"
                    " ON CONFLICT (org_id) DO NOTHING",
                    org_id, made, since_us,
                )  # fmt: skip
                known = await connection.fetchval(sql, org_id)
        if known is None or wanted.customer_id not in ("", known):
            raise StripeRefused(f"{org_id} is linked to {known}")
        if wanted.invoices_from is not None:
            async with self._postgres.connection(TIMEOUT_S) as connection:
                await connection.execute(
                    "UPDATE billing.stripe_customers SET invoices_from = $2 WHERE org_id = $1",
                    org_id, wanted.invoices_from,
                )  # fmt: skip
        return known

    async def run_round(self) -> Told:
        """Gather what Stripe lacks, send it, and take note of what it rejected before."""
        rejected = await self._note_rejections()
        gathered = await self._gather()
        async with self._postgres.connection(TIMEOUT_S) as connection:
            due = await connection.fetch(_DUE, ROUND_EVENTS_MAX)
        sent = 0
        for row in due:
            if await self._send(row):
                sent += 1
            else:
                rejected += 1
        async with self._postgres.connection(TIMEOUT_S) as connection:
            left = await connection.fetchval(
                "SELECT count(*) FROM billing.stripe_events WHERE state = 'due'"
            )
        return Told(gathered=gathered, sent=sent, rejected=rejected, due=left)

    async def differences(self, from_us: int, to_us: int) -> list[HourDiffers]:
        """Return the hours of which Stripe's summaries say something else than it was sent.

        Stripe sums asynchronously: what was sent within the last minutes may still be missing.
        """
        from_us, to_us = from_us // HOUR_US * HOUR_US, -(-to_us // HOUR_US) * HOUR_US
        async with self._postgres.connection(TIMEOUT_S) as connection:
            rows = await connection.fetch(_HOURS, from_us, to_us, HOUR_US)
        told: dict[tuple[str, str, str], dict[int, int]] = {}
        for row in rows:
            key = (row["org_id"], row["customer_id"], row["currency"])
            told.setdefault(key, {})[row["hour_us"]] = row["sent_nano"]
        found: list[HourDiffers] = []
        for (org_id, customer_id, currency), sent in told.items():
            there = await self._stripe.hourly(customer_id, currency, from_us, to_us)
            for hour_us in sorted({*sent, *there}):
                mine, stripes = sent.get(hour_us, 0), there.get(hour_us, 0)
                if mine != stripes:
                    found.append(
                        HourDiffers(
                            org_id=org_id, currency=currency, hour_us=hour_us, sent_nano=mine,
                            stripe_nano=stripes,
                        )
                    )  # fmt: skip
        return found

    async def mend(self, differs: HourDiffers) -> bool:
        """Have an event told again that Stripe has lost; return False when none explains it."""
        lacking = differs.sent_nano - differs.stripe_nano
        async with self._postgres.connection(TIMEOUT_S) as connection:
            done = await connection.execute(
                "UPDATE billing.stripe_events SET state = 'rejected', error = 'lost by Stripe'"
                " WHERE identifier = (SELECT identifier FROM billing.stripe_events"
                " WHERE org_id = $1 AND currency = $2 AND at_us / $5 = $3 / $5 AND state = 'sent'"
                " AND value_nano = $4 ORDER BY number LIMIT 1) AND state = 'sent'",
                differs.org_id, differs.currency, differs.hour_us, lacking, HOUR_US,
            )  # fmt: skip
        return str(done) == "UPDATE 1"

    async def _gather(self) -> int:
        ended_us = (self._clock.now_us() - SETTLE_US) // HOUR_US * HOUR_US
        async with self._postgres.connection(TIMEOUT_S) as connection, connection.transaction():
            await connection.execute(_LOCK)
            done: str = await connection.execute(_GATHER, ended_us, HOUR_US, REJECTED_MAX)
        return int(done.rsplit(maxsplit=1)[-1])

    async def _send(self, row: asyncpg.Record) -> bool:
        """Send an event; return False when Stripe rejects it."""
        identifier, now_us, at_us = row["identifier"], self._clock.now_us(), row["at_us"]
        if not at_us or now_us - row["tried_us"] > UNSURE_US:
            if at_us and await self._has(row):
                await self._note(identifier, "sent")
                return True
            at_us = row["hour_us"] if now_us - row["hour_us"] < OLDEST_US else now_us
            await self._try(identifier, now_us, at_us)
        amount = Amount(row["currency"], row["value_nano"])
        try:
            await self._stripe.send(identifier, row["customer_id"], at_us, amount)
        except StripeRefused as refused:
            await self._note(identifier, "rejected", refused.detail)
            return False
        await self._note(identifier, "sent")
        return True

    async def _has(self, row: asyncpg.Record) -> bool:
        """Return whether Stripe has an event whose identifier it may have forgotten."""
        hour_us = row["at_us"] // HOUR_US * HOUR_US
        there = await self._stripe.hourly(
            row["customer_id"], row["currency"], hour_us, hour_us + HOUR_US
        )
        async with self._postgres.connection(TIMEOUT_S) as connection:
            sent: int = await connection.fetchval(
                _SENT_OF_HOUR, row["org_id"], row["currency"], hour_us, HOUR_US
            )
        wanted: int = sent + row["value_nano"]
        return there.get(hour_us, 0) == wanted

    async def _try(self, identifier: str, now_us: int, at_us: int) -> None:
        """Write down that an event may be at Stripe from now on, before it is."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            await connection.execute(
                "UPDATE billing.stripe_events SET tried_us = $2, at_us = $3 WHERE identifier = $1",
                identifier, now_us, at_us,
            )  # fmt: skip

    async def _note(self, identifier: str, state: str, error: str = "") -> int:
        async with self._postgres.connection(TIMEOUT_S) as connection:
            done: str = await connection.execute(
                "UPDATE billing.stripe_events SET state = $2, sent_us = $3, error = $4"
                " WHERE identifier = $1 AND state IN ('due', 'sent')",
                identifier, state, self._clock.now_us(), error[:500],
            )  # fmt: skip
        return int(done.rsplit(maxsplit=1)[-1])

    async def _note_rejections(self) -> int:
        """Note what reports name that were not read yet: those Stripe lists and those it sent."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            rows = await connection.fetch("SELECT DISTINCT currency FROM billing.stripe_events")
        listed = [one for row in rows for one in await self._stripe.report_ids(row["currency"])]
        noted = 0
        for report_id in await self._reports.unread(listed):
            try:
                report = await self._stripe.report(report_id)
            except StripeRefused as refused:
                await self._reports.read(report_id, Report([], 0), refused.detail)
                continue
            for one in report.rejections:
                noted += await self._note(one.identifier, "rejected", one.error)
            await self._reports.read(report_id, report)
        return noted
