"""An organization's own alerts and webhooks, asked for by a serving process."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from axon.alerts.admin import AdminParts, AlertsAdmin, CreatedEndpoint
from axon.alerts.errors import AlertsUnavailable, UnknownAlert, UnknownEndpoint, UnusableUrl
from axon.alerts.guard import target_of
from axon.alerts.own_store import (
    living_endpoints,
    own_deliveries,
    own_page,
    owns_alert,
    redeliver_own,
)
from axon.alerts.store import Attempt, Endpoint, Raised, end_endpoint
from axon.deeds import Actor, acting
from axon.stores import PostgresAway

QUERY_TIMEOUT_S = 5.0
"""Each reads a page, or some rows of one organization: a few milliseconds."""

ASKING_MAX = 4
"""Asked at once; one more is refused. They share the connections with turns, which must never wait
for them, and names are looked up by few threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPage:
    """Some of an organization's alerts, newest first."""

    alerts: tuple[Raised, ...]
    has_more: bool


class OwnAlerts:
    """What an organization may see and change of its alerts; another's do not exist for it.

    Every method raises AlertsUnavailable while PostgreSQL is away, and then a change may have been
    made.
    """

    def __init__(self, parts: AdminParts) -> None:
        """The stores are started and stopped by their owner."""
        self._parts = parts
        self._admin = AlertsAdmin(parts)
        self._asking = 0

    async def page(self, org_id: str, after: str, limit: int) -> AlertPage:
        """Return at most `limit` alerts that are older than `after`, or ('') the newest.

        Raises UnknownAlert when there is no alert `after`.
        """
        async with self._asked(), self._connection() as connection:
            if after and not await owns_alert(connection, org_id, after):
                raise UnknownAlert(after)
            found = await own_page(connection, org_id, after, limit + 1)
        return AlertPage(alerts=tuple(found[:limit]), has_more=len(found) > limit)

    async def endpoints(self, org_id: str) -> list[Endpoint]:
        """Return the webhooks that are used, oldest first."""
        async with self._asked(), self._connection() as connection:
            return await living_endpoints(connection, org_id)

    async def add_endpoint(
        self, url: str, org_id: str, actor: Actor | None = None
    ) -> CreatedEndpoint:
        """Have the organization's alerts sent to a URL; raises UnusableUrl, TooManyEndpoints.

        What a name leads to is not told: whoever may add webhooks need not learn that of names
        which only Axon can look up.
        """
        target_of(url, self._parts.allowed)
        async with self._asked():
            try:
                return await self._admin.add_endpoint(url, org_id, actor)
            except UnusableUrl:
                reason = "its name must be known and have no address that is not public"
                raise UnusableUrl(reason) from None

    async def remove_endpoint(
        self, endpoint_id: str, org_id: str, actor: Actor | None = None
    ) -> None:
        """Send nothing there any more; raises UnknownEndpoint."""
        now_us = self._parts.clock.now_us()
        async with self._asked(), self._connection() as connection, connection.transaction():
            if actor is not None:
                await acting(connection, actor)
            own = {one.endpoint_id for one in await living_endpoints(connection, org_id)}
            if endpoint_id not in own:
                raise UnknownEndpoint(endpoint_id)
            if not await end_endpoint(connection, endpoint_id, now_us, "it was removed"):
                raise UnknownEndpoint(endpoint_id)

    async def deliveries(self, alert_id: str, org_id: str) -> list[Attempt]:
        """Return the deliveries of an alert to the organization's webhooks, ended ones too.

        Raises UnknownAlert. The operator's own webhooks are not told of.
        """
        async with self._asked(), self._connection() as connection:
            if not await owns_alert(connection, org_id, alert_id):
                raise UnknownAlert(alert_id)
            return await own_deliveries(connection, org_id, alert_id)

    async def redeliver(self, alert_id: str, org_id: str) -> int:
        """Have an alert sent again to the organization's webhooks; return to how many.

        Raises UnknownAlert.
        """
        now_us = self._parts.clock.now_us()
        async with self._asked(), self._connection() as connection, connection.transaction():
            if not await owns_alert(connection, org_id, alert_id):
                raise UnknownAlert(alert_id)
            return await redeliver_own(connection, org_id, alert_id, now_us)

    def _connection(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        return self._parts.postgres.connection(QUERY_TIMEOUT_S)

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        if self._asking >= ASKING_MAX:
            raise AlertsUnavailable("too many ask at once")
        self._asking += 1
        try:
            yield
        except PostgresAway as error:
            raise AlertsUnavailable(error.detail) from error
        finally:
            self._asking -= 1
