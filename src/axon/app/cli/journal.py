"""axon journal: look at the write-ahead log, check it, and salvage what damage left."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from axon.app.cli.command import (
    ExampleGroup,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.tables import day, show
from axon.app.folders import DataFolder
from axon.base import MIB, AxonError, SystemClock
from axon.journal import Finding, SystemDisk, inspect, salvage, verify


class NoSuchJournal(AxonError):
    """There is no such journal in this data folder."""


@click.group(cls=ExampleGroup, examples=["axon journal inspect", "axon journal verify"])
def journal() -> None:
    """The write-ahead log: what an acknowledgement stands on."""


@journal.command(
    "inspect", examples=["axon journal inspect", "axon journal inspect --data /var/lib/axon --json"]
)
@data_option
@json_option
@config_option
def inspect_journals(data: str | None, as_json: bool, config: Path | None) -> None:
    """Show each journal of this node: its files, what is durable, what PostgreSQL has."""
    found = [inspect(folder) for folder in _journals(data, config, None)]
    columns = {
        "Journal": [one.instance for one in found],
        "Durable": [f"{one.durable_through:,}" for one in found],
        "Projected": [f"{one.projected_through:,}" for one in found],
        "Lag": [f"{one.durable_through - one.projected_through:,}" for one in found],
        "Files": [str(len(one.segments)) for one in found],
        "Size": [f"{sum(file.bytes for file in one.segments) / MIB:,.1f} MiB" for one in found],
        "Since": [day(one.segments[0].created_us) for one in found],
        "Torn tails": [str(len(one.torn_copies)) for one in found],
    }
    show(found, columns, as_json)


@journal.command(
    "verify",
    examples=["axon journal verify", "axon journal verify --instance 3f2a91c04d7e-serving"],
)
@click.option("--instance", help="Only this journal.")
@data_option
@json_option
@config_option
def verify_journals(
    instance: str | None, data: str | None, as_json: bool, config: Path | None
) -> None:
    """Read every entry and check every checksum and the hash chain.

    May be done while Axon runs. Exit code 1 when there is damage.
    """
    findings: list[Finding] = []
    folders = _journals(data, config, instance)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for folder in folders:
            task = progress.add_task(folder.name)

            def show_progress(done: int, total: int, task: TaskID = task) -> None:
                progress.update(task, completed=done, total=total)

            findings += verify(folder, show_progress)
    if findings or as_json:
        columns = {
            "File": [str(one.path) for one in findings],
            "Offset": [f"{one.offset:,}" for one in findings],
            "Damage": [one.finding for one in findings],
        }
        show(findings, columns, as_json)
    if findings:
        console.print("[red]✗[/] damaged. Copy the folder, then: axon journal salvage INSTANCE")
        sys.exit(1)
    console.print(f"[green]✓[/] every journal is whole ({len(folders)})")


@journal.command(
    "salvage",
    examples=["axon journal verify", "axon journal salvage 3f2a91c04d7e-serving"],
)
@click.argument("instance")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
@config_option
def salvage_journal(instance: str, yes: bool, data: str | None, config: Path | None) -> None:
    """Rebuild a damaged journal from what is whole in it; stop Axon first.

    What cannot be read is lost, and is counted; the damaged files are kept beside the new ones.
    """
    settings = settings_from(config, {"AXON_DATA": data})
    folder = DataFolder.of(settings).journals / instance
    if not folder.is_dir():
        raise NoSuchJournal(str(folder))
    if not yes:
        click.confirm(f"Rebuild {folder}?", abort=True)
    found = salvage(folder, settings.journal.segment_bytes, SystemDisk(), SystemClock())
    console = Console()
    console.print(f"[green]✓[/] readable through entry {found.last_sequence:,}")
    if found.lost:
        between = f"between {min(found.lost):,} and {max(found.lost):,}"
        console.print(f"[red]✗[/] {len(found.lost):,} entries are lost, {between}")


def _journals(data: str | None, config: Path | None, instance: str | None) -> list[Path]:
    """Return the folders of this node's journals; raises NoSuchJournal when none is meant."""
    root = DataFolder.of(settings_from(config, {"AXON_DATA": data})).journals
    folders = sorted(folder for folder in root.glob(instance or "*") if folder.is_dir())
    if not folders and instance:
        raise NoSuchJournal(f"{instance} in {root}")
    return folders
