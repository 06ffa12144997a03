"""What the commands for alerts and webhooks share: the room behind them, organizations."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from axon.alerts import AdminParts, AlertsAdmin
from axon.app.administration import command_options, database_address
from axon.app.alerting import allowed_by
from axon.app.cli.asking import Asked, org_named
from axon.app.folders import DataFolder
from axon.base import SystemClock, SystemRandomness
from axon.sealing import Keyring
from axon.stores import Postgres

Result = TypeVar("Result")


def with_alerts(asked: Asked, work: Callable[[AlertsAdmin], Awaitable[Result]]) -> Result:
    """Return what `work` makes of the alerts; blocks, raises what it raises."""

    async def run() -> Result:
        clock, randomness = SystemClock(), SystemRandomness()
        postgres = Postgres(database_address(asked.settings), command_options(), clock)
        await postgres.start()
        try:
            parts = AdminParts(
                postgres=postgres,
                keyring=Keyring.open(DataFolder.of(asked.settings).keyring, randomness),
                clock=clock,
                randomness=randomness,
                allowed=allowed_by(asked.settings.alerts),
            )
            return await work(AlertsAdmin(parts))
        finally:
            await postgres.stop()

    return asyncio.run(run())


def org_id_of(asked: Asked, name: str) -> str:
    """Return the id of the organization with this name or id, "" for ""; raises UnknownAccount."""
    if not name:
        return ""

    return asked.run(lambda admin: org_named(admin, name)).org_id
