"""Stripe's reports of events it could not use: taken when it sends one, and each read once."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from axon.base import MICROS_PER_SECOND, Clock
from axon.billing.errors import BillingError, BillingUnavailable
from axon.billing.stripe_api import ERROR_REPORTS, Report, StripeExtraMissing
from axon.stores import Postgres, PostgresAway

TIMEOUT_S = 5.0
"""Stripe waits about ten seconds for an answer; without one it sends the event again, for days."""

SIGNED_WITHIN_S = 300
"""Older than this an event is taken for a recording of one; Stripe signs every try anew."""

UNREAD_MAX = 100
"""Reports read in one round; the next one goes on."""

FORGOTTEN_AFTER_US = 60 * 86_400 * MICROS_PER_SECOND
"""Stripe itself knows its events for 30 days."""

_ID_CHARS_MAX = 255


class SignatureWrong(BillingError):
    """The event is not signed with `stripe.webhook_secret`, or was signed too long ago."""


class EventUnreadable(BillingError):
    """The body is no event of Stripe's."""


class _Event(msgspec.Struct):
    """What every event says of itself."""

    id: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRead:
    """A report of Stripe's, as it was read."""

    report_id: str
    handled_us: int
    errors: int
    """How many events it is about."""
    named: int
    """How many of them it named; where that is fewer, `check` finds their hours."""
    error: str
    """Why it could not be read."""


class Reports:
    """Which reports there are, and which were read; in PostgreSQL."""

    def __init__(self, postgres: Postgres, clock: Clock) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._clock = clock

    async def received(self, report_id: str) -> None:
        """Keep that there is a report; one that is known stays as it is. Raises PostgresAway."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            await connection.execute(
                "INSERT INTO billing.stripe_reports (report_id, received_us) VALUES ($1, $2)"
                " ON CONFLICT DO NOTHING",
                report_id, self._clock.now_us(),
            )  # fmt: skip

    async def unread(self, listed: Sequence[str]) -> list[str]:
        """Return those to be read, `listed` or received, each once; raises PostgresAway."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            due = await connection.fetch(
                "SELECT report_id FROM billing.stripe_reports WHERE handled_us = 0"
                " ORDER BY received_us LIMIT $1",
                UNREAD_MAX,
            )
            known = await connection.fetch(
                "SELECT report_id FROM billing.stripe_reports WHERE report_id = ANY($1)", [*listed]
            )
        seen = {row["report_id"] for row in known}
        found = [row["report_id"] for row in due] + [one for one in listed if one not in seen]
        return list(dict.fromkeys(found))[:UNREAD_MAX]

    async def unclear(self) -> list[ReportRead]:
        """Return the reports that did not name all of their events, the newest first."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            rows = await connection.fetch(
                "SELECT report_id, handled_us, errors, named, error FROM billing.stripe_reports"
                " WHERE handled_us > 0 AND (named < errors OR error <> '')"
                " ORDER BY handled_us DESC LIMIT $1",
                UNREAD_MAX,
            )
        return [ReportRead(**row) for row in rows]

    async def read(self, report_id: str, report: Report, error: str = "") -> None:
        """Note what a report said, or why it could not be read; raises PostgresAway."""
        now_us = self._clock.now_us()
        async with self._postgres.connection(TIMEOUT_S) as connection:
            await connection.execute(
                "INSERT INTO billing.stripe_reports VALUES ($1, $2, $2, $3, $4, $5)"
                " ON CONFLICT (report_id) DO UPDATE SET"
                " (handled_us, errors, named, error) = ($2, $3, $4, $5)",
                report_id, now_us, report.errors, len(report.rejections), error[:500],
            )  # fmt: skip
            await connection.execute(
                "DELETE FROM billing.stripe_reports WHERE handled_us BETWEEN 1 AND $1",
                now_us - FORGOTTEN_AFTER_US,
            )


class StripeWebhook:
    """Takes the events that Stripe sends; the scheduler reads what they are about."""

    def __init__(self, postgres: Postgres, clock: Clock, secret: str) -> None:
        """Load the SDK, which blocks for some tenths of a second; raises StripeExtraMissing."""
        try:
            self._sdk: Any = importlib.import_module("stripe")
        except ImportError as error:
            raise StripeExtraMissing(str(error)) from error
        self._reports = Reports(postgres, clock)
        self._secret = secret

    async def take(self, body: bytes, signature: str | None) -> bool:
        """Return whether an event was one we wait for, which then is kept.

        Raises SignatureWrong, EventUnreadable, and BillingUnavailable: then it is to come again.
        """
        try:
            self._sdk.WebhookSignature.verify_header(body, signature, self._secret, SIGNED_WITHIN_S)
        except (self._sdk.SignatureVerificationError, UnicodeDecodeError) as error:
            raise SignatureWrong from error
        try:
            event = msgspec.json.decode(body, type=_Event)
        except msgspec.MsgspecError as error:
            raise EventUnreadable(str(error)) from error
        if event.type not in ERROR_REPORTS:
            return False
        if not 0 < len(event.id) <= _ID_CHARS_MAX or "\0" in event.id:
            raise EventUnreadable("its id is none")
        try:
            await self._reports.received(event.id)
        except PostgresAway as error:
            raise BillingUnavailable(error.detail) from error
        return True
