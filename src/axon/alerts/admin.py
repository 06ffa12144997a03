"""Alerts and webhooks in an administrator's hands."""

from dataclasses import dataclass

import msgspec

from axon.alerts.alert import TEST, Alert
from axon.alerts.errors import TooManyEndpoints, UnknownAlert, UnknownEndpoint
from axon.alerts.guard import Allowed, addresses_of, target_of
from axon.alerts.secret import SECRET_BYTES, secret_text
from axon.alerts.store import (
    Attempt,
    Endpoint,
    Raised,
    deliveries,
    end_endpoint,
    endpoints,
    raise_alerts,
    raised,
    redeliver,
)
from axon.base import Clock, Randomness
from axon.deeds import Actor, acting
from axon.sealing import Keyring
from axon.stores import Postgres

TIMEOUT_S = 10.0
"""An administrator waits longer than a request does, but not for ever."""

ENDPOINTS_MAX = 1000
"""An alert of an organization goes to all that concern it."""

ENDPOINTS_OF_ORG_MAX = 20
"""None can take the places of others."""

_ID_BYTES = 12


class CreatedEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A new endpoint, with the secret that is shown this once."""

    endpoint_id: str
    org_id: str
    url: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    """What administration works with."""

    postgres: Postgres
    keyring: Keyring
    clock: Clock
    randomness: Randomness
    allowed: Allowed


class AlertsAdmin:
    """Every method may raise PostgresAway; then the change may or may not have been made."""

    def __init__(self, parts: AdminParts) -> None:
        """The stores are started and stopped by their owner."""
        self._parts = parts

    async def add_endpoint(
        self, url: str, org_id: str, actor: Actor | None = None
    ) -> CreatedEndpoint:
        """Have alerts sent to a URL: an organization's, or ('') all of them.

        `actor` is who asks for it, if not whoever the connection belongs to. Raises UnusableUrl,
        TooManyEndpoints.
        """
        parts = self._parts
        await addresses_of(target_of(url, parts.allowed), parts.allowed)
        endpoint_id = f"webhook_{parts.randomness.bytes(_ID_BYTES).hex()}"
        secret = parts.randomness.bytes(SECRET_BYTES)
        wrapped = parts.keyring.wrap(secret)
        async with parts.postgres.connection(TIMEOUT_S) as connection, connection.transaction():
            if actor is not None:
                await acting(connection, actor)
            (there,) = await connection.fetch(
                "SELECT count(*) AS all, count(*) FILTER (WHERE org_id = $1) AS own"
                " FROM alerts.endpoints WHERE ended_us = 0",
                org_id,
            )
            if there["all"] >= ENDPOINTS_MAX:
                raise TooManyEndpoints(f"{ENDPOINTS_MAX} or more")
            if org_id and there["own"] >= ENDPOINTS_OF_ORG_MAX:
                raise TooManyEndpoints(f"an organization has {ENDPOINTS_OF_ORG_MAX} at most")
            await connection.execute(
                "INSERT INTO alerts.endpoints VALUES ($1, $2, $3, $4, $5, $6, 0, '')",
                endpoint_id,
                org_id,
                url,
                wrapped.kek_id,
                wrapped.data,
                parts.clock.now_us(),
            )
        return CreatedEndpoint(
            endpoint_id=endpoint_id, org_id=org_id, url=url, secret=secret_text(secret)
        )

    async def endpoints(self) -> list[Endpoint]:
        """Return every endpoint, oldest first, also those that have ended."""
        async with self._parts.postgres.connection(TIMEOUT_S) as connection:
            return await endpoints(connection)

    async def remove_endpoint(self, endpoint_id: str) -> None:
        """Send nothing there any more; its deliveries stay in the log. Raises UnknownEndpoint."""
        now_us = self._parts.clock.now_us()
        async with (
            self._parts.postgres.connection(TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            if not await end_endpoint(connection, endpoint_id, now_us, "it was removed"):
                raise UnknownEndpoint(endpoint_id)

    async def raised(self, org_id: str = "") -> list[Raised]:
        """Return the newest thousand alerts, newest first."""
        async with self._parts.postgres.connection(TIMEOUT_S) as connection:
            return await raised(connection, org_id)

    async def deliveries(self, alert_id: str = "") -> list[Attempt]:
        """Return the newest thousand deliveries with their last attempt, newest first."""
        async with self._parts.postgres.connection(TIMEOUT_S) as connection:
            return await deliveries(connection, alert_id)

    async def redeliver(self, alert_id: str, endpoint_id: str = "") -> int:
        """Have an alert sent again, to all it concerns or to one; return to how many.

        Raises UnknownAlert.
        """
        now_us = self._parts.clock.now_us()
        async with (
            self._parts.postgres.connection(TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            count = await redeliver(connection, alert_id, endpoint_id, now_us)
        if not count:
            raise UnknownAlert(alert_id)
        return count

    async def test(self, org_id: str) -> str:
        """Raise an alert that says nothing, to see whether it arrives; return its id."""
        now_us = self._parts.clock.now_us()
        alert = Alert(
            kind=TEST,
            org_id=org_id,
            subject="test",
            period_us=now_us,
            data={"message": "This is a test; nothing has happened."},
        )
        async with (
            self._parts.postgres.connection(TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            await raise_alerts(connection, [alert], now_us)
        return alert.alert_id
