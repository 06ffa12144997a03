"""axon usage-stream: how far Kafka is, and sending again what it lost."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from axon.app.administration import database_address
from axon.app.cli.command import (
    ExampleGroup,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.instants import INSTANT
from axon.app.cli.metering import Metering as Asked
from axon.app.cli.metering import for_metering, org_id_of
from axon.app.cli.tables import day, show
from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.app.usage_streaming import LateSink, usage_stream
from axon.base import SystemClock, SystemRandomness
from axon.metering import UsageStream
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions

Result = TypeVar("Result")

_STATEMENT_TIMEOUT_S = 600.0
"""A replay of months may take a while; a frozen server must not hold it for ever."""


@click.group(
    "usage-stream",
    cls=ExampleGroup,
    examples=[
        "axon usage-stream status",
        "axon usage-stream rewind --from 2026-11-01",
        "axon usage-stream replay --from 2026-11-01 --to 2026-11-02 --org acme",
    ],
)
def usage_stream_group() -> None:
    """The usage stream: what every turn consumed and cost, as events to Kafka."""


@usage_stream_group.command(
    "status", examples=["axon usage-stream status", "axon usage-stream status --json"]
)
@data_option
@json_option
@config_option
def show_status(data: str | None, as_json: bool, config: Path | None) -> None:
    """Show how far it is in each journal, in the corrections, and what came late."""
    settings = settings_from(config, {"AXON_DATA": data})
    found = _with_stream(settings, lambda stream: stream.states())
    columns = {
        "Source": [state.source for state in found],
        "Sent through": [f"{state.through:,}" for state in found],
        "Waiting": [f"{state.waiting:,}" for state in found],
        "Oldest": [day(state.oldest_us) if state.oldest_us else "" for state in found],
    }
    show(found, columns, as_json)


@usage_stream_group.command("rewind", examples=["axon usage-stream rewind --from 2026-11-01"])
@click.option("--from", "from_us", type=INSTANT, required=True, help="Accepted since then.")
@data_option
@config_option
def rewind(from_us: int, data: str | None, config: Path | None) -> None:
    """Have the scheduler send everything again since a time, as after the loss of the topic."""
    settings = settings_from(config, {"AXON_DATA": data})
    moved = _with_stream(settings, lambda stream: stream.rewind(from_us))
    click.echo(f"{moved} cursors moved back; the scheduler sends what is behind them again.")


@usage_stream_group.command(
    "replay",
    examples=[
        "axon usage-stream replay --from 2026-11-01 --to 2026-11-02",
        "axon usage-stream replay --from 2026-11-01 --to 2026-11-02 --org acme",
    ],
)
@click.option("--from", "from_us", type=INSTANT, required=True, help="Accepted since then.")
@click.option("--to", "to_us", type=INSTANT, required=True, help="And before then.")
@click.option("--org", default="", help="Of this organization, by name or id; else of all.")
@for_metering
def replay(asked: Asked, from_us: int, to_us: int, org: str) -> None:
    """Send a range of turns once more, from here, while the stream itself goes on.

    The events have the ids they had before.
    """
    org_id = org_id_of(asked, org) if org else ""
    sink = LateSink(asked.settings.usage_stream)
    count = _with_stream(asked.settings, lambda stream: stream.replay(sink, from_us, to_us, org_id))
    click.echo(f"{count:,} events sent.")


def _with_stream(settings: Settings, work: Callable[[UsageStream], Awaitable[Result]]) -> Result:
    """Return what `work` makes of the stream; blocks, raises what it raises."""

    async def run() -> Result:
        clock = SystemClock()
        options = PostgresOptions(connections_max=1, statement_timeout_s=_STATEMENT_TIMEOUT_S)
        postgres = Postgres(database_address(settings), options, clock)
        keyring = Keyring.open(DataFolder.of(settings).keyring, SystemRandomness())
        await postgres.start()
        try:
            return await work(usage_stream(settings, postgres, keyring, clock))
        finally:
            await postgres.stop()

    return asyncio.run(run())
