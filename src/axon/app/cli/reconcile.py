"""axon reconcile: do the journals, PostgreSQL and Valkey say the same?"""

import asyncio
import sys
from pathlib import Path

import asyncpg
import click
import msgspec
from rich.console import Console
from rich.progress import Progress, TaskID

from axon.app.administration import database_address
from axon.app.cli.command import (
    ExampleCommand,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.tables import show
from axon.app.embedded import EmbeddedValkey
from axon.app.folders import DataFolder
from axon.app.reconcile import Difference, Report, Stage
from axon.app.reconcile import reconcile as compare
from axon.base import AxonError


class DatabaseAway(AxonError):
    """PostgreSQL does not answer, so nothing can be compared."""


@click.command(
    "reconcile",
    cls=ExampleCommand,
    examples=["axon reconcile", "axon reconcile --json | jq .differences"],
)
@data_option
@json_option
@config_option
def reconcile(data: str | None, as_json: bool, config: Path | None) -> None:
    """Compare what this node's journals, PostgreSQL and Valkey hold; name every difference.

    May be done while Axon runs, and changes nothing. A conversation that other nodes write too is
    explained by their journals only. Exit code 1 when anything differs.
    """
    settings = settings_from(config, {"AXON_DATA": data})
    folder = DataFolder.of(settings)
    database_url = database_address(settings)
    valkey_url = settings.valkey.url or EmbeddedValkey(folder.root).url()
    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:

        def show_progress(stage: Stage) -> None:
            if stage.journal not in tasks:
                tasks[stage.journal] = progress.add_task(stage.journal, total=stage.total)
            progress.update(tasks[stage.journal], completed=stage.done)

        try:
            report = asyncio.run(compare(folder, database_url, valkey_url, show_progress))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseAway(f"{type(error).__name__}: {error}") from error
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        _print(report)
    sys.exit(not report.agrees)


def _print(report: Report) -> None:
    """Show the counts, then what differs."""
    totals = report.totals
    columns = {
        "Holds": [total.what for total in totals],
        "Journal": [_number(total.journal) for total in totals],
        "PostgreSQL": [_number(total.postgresql) for total in totals],
        "Valkey": [_number(total.valkey) for total in totals],
    }
    show(totals, columns, as_json=False)
    found: tuple[Difference, ...] = report.differences
    console = Console(stderr=True)
    if not found:
        console.print("[green]✓[/] journals, PostgreSQL and Valkey agree")
        return
    columns = {
        "What": [one.kind for one in found],
        "Which": [one.name for one in found],
        "Wrong": [one.side for one in found],
        "How": [one.finding for one in found],
    }
    show(found, columns, as_json=False)
    console.print(f"[red]✗[/] {len(found) + report.unnamed:,} differences")


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
