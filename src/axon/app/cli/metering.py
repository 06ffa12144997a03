"""What the commands for prices, usage and billing share: options, rooms, organizations."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from axon.accounts import Org
from axon.app.administration import command_options, database_address
from axon.app.cli.asking import Asked, org_named
from axon.app.cli.command import config_option, data_option, json_option, settings_from
from axon.app.settings import Settings
from axon.base import SystemClock, SystemRandomness
from axon.billing import Billing, Invoices
from axon.metering import Prices, Usage
from axon.stores import Postgres

Result = TypeVar("Result")

_STATEMENT_TIMEOUT_S = 600.0
"""A re-rating of months may take a while; a frozen server must not hold it for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteringRooms:
    """What a command may work with."""

    postgres: Postgres
    prices: Prices
    usage: Usage
    billing: Billing
    invoices: Invoices


@dataclass(frozen=True, slots=True)
class Metering:
    """How a command was asked: for which installation, and for what kind of answer."""

    settings: Settings
    as_json: bool

    def run(self, work: Callable[[MeteringRooms], Awaitable[Result]]) -> Result:
        """Return what `work` makes of the rooms; blocks, raises what it raises."""

        async def with_rooms() -> Result:
            options = command_options(_STATEMENT_TIMEOUT_S)
            clock, randomness = SystemClock(), SystemRandomness()
            postgres = Postgres(database_address(self.settings), options, clock)
            await postgres.start()
            try:
                return await work(
                    MeteringRooms(
                        postgres=postgres,
                        prices=Prices(postgres, clock, randomness),
                        usage=Usage(postgres),
                        billing=Billing(postgres, clock, randomness),
                        invoices=Invoices(postgres),
                    )
                )
            finally:
                await postgres.stop()

        return asyncio.run(with_rooms())


def for_metering(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options and hand them to the command as its first argument, Metering."""

    @data_option
    @json_option
    @config_option
    @functools.wraps(command)
    def asked(data: str | None, as_json: bool, config: Path | None, **rest: Any) -> None:
        command(Metering(settings_from(config, {"AXON_DATA": data}), as_json), **rest)

    return asked


def org_id_of(asked: Metering, name: str) -> str:
    """Return the id of the organization with this name or id; blocks; raises UnknownAccount."""
    accounts = Asked(asked.settings, asked.as_json)
    found: Org = accounts.run(lambda admin: org_named(admin, name))
    return found.org_id
