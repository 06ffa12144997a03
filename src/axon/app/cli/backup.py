"""axon backup and axon restore: PostgreSQL's content, and the data keys apart."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from axon.app.backup import (
    CONTENT,
    KEYS,
    Allowed,
    Place,
    Restored,
    Verified,
    database_in_use,
    database_to_replace,
    make_backup,
    replay_journals,
    restore_content,
    restore_keys,
    verify_backup,
)
from axon.app.cli.command import ExampleCommand, config_option, data_option, settings_from
from axon.base import MIB, utc_from_us


@click.command(
    cls=ExampleCommand,
    examples=[
        "axon backup /mnt/safe/                      # the content, under a name with its time",
        "axon backup --keys /mnt/elsewhere/          # the keys that open it: not beside it",
        "axon keyring backup /mnt/elsewhere/         # and the keyring, once",
    ],
)
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--keys", is_flag=True, help="Back up the data keys, for 30 days, not the content.")
@data_option
@config_option
def backup(target: Path, keys: bool, data: str | None, config: Path | None) -> None:
    """Write what PostgreSQL holds to TARGET, a new file or a folder. Axon may run.

    The content is sealed, and the keys that open it are not in it: who erases a person's keys
    erases what every backup holds of that person. Back the keys up apart, and often.
    """
    console = Console()
    with database_in_use(settings_from(config, {"AXON_DATA": data})) as place, _bar() as progress:
        made = asyncio.run(make_backup(place, target, KEYS if keys else CONTENT, progress.told))
    size = f"{made.rows:,} rows, {made.bytes / MIB:,.1f} MiB"
    console.print(f"[green]✓[/] {escape(str(made.path))}: {size}", highlight=False, soft_wrap=True)
    if keys:
        console.print(f"  it can be restored until {_minute(made.header.expires_us)}")


@click.command(
    cls=ExampleCommand,
    examples=[
        "axon restore /mnt/safe/axon-content-20261122T050000Z.backup",
        "axon restore /mnt/elsewhere/axon-keys-20261122T050000Z.backup  # only if they were lost",
        "axon restore --replace /mnt/safe/axon-content-20261122T050000Z.backup",
    ],
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Delete what the database holds now.")
@click.option("--accept-loss", is_flag=True, help="Go on without entries nobody has any more.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
@config_option
def restore(file: Path, data: str | None, config: Path | None, yes: bool, **allowed: bool) -> None:
    """Put a backup back, then bring in all that the journals of this node hold behind it.

    Stop Axon first. The database must be empty; a backup that is damaged, or of another
    installation, changes nothing.
    """
    settings = settings_from(config, {"AXON_DATA": data})
    with database_to_replace(settings) as place, _bar() as progress:
        found = verify_backup(file, progress.told)
        if found.header.kind == KEYS:
            asyncio.run(_restore_keys(place, found, progress))
            return
        if allowed["replace"] and not yes:
            progress.pause()
            click.confirm(f"Delete what is in the database of {place.folder.root}?", abort=True)
        wanted = Allowed(replace=allowed["replace"], accept_loss=allowed["accept_loss"])
        asyncio.run(_restore_content(place, found, wanted, progress))


async def _restore_content(
    place: Place, found: Verified, allowed: Allowed, progress: "_Bar"
) -> None:
    console = Console()
    restored = await restore_content(place, found, allowed, progress.told)
    _say(console, f"[green]✓[/] {restored.rows:,} rows, as of {_minute(found.header.created_us)}")
    _tell_loss(console, restored)
    replay = await replay_journals(place, progress.told)
    _say(console, f"[green]✓[/] {replay.records:,} records of the journal applied behind it")
    if replay.parked:
        _say(console, f"[red]✗[/] {replay.parked:,} records could not be applied: axon doctor")
    if restored.revoked:
        _say(console, f"[green]✓[/] {restored.revoked:,} API keys revoked since stay revoked")
    _say(console, "[dim]API keys made since the backup are gone: axon keys list")


async def _restore_keys(place: Place, found: Verified, progress: "_Bar") -> None:
    restored = await restore_keys(place, found, progress.told)
    buried = f"; {restored.buried:,} stay erased" if restored.buried else ""
    _say(Console(), f"[green]✓[/] {restored.keys:,} keys were missing{buried}")


def _tell_loss(console: Console, restored: Restored) -> None:
    for journal in restored.lost:
        gone = f"entries {journal.missing.start:,} to {journal.missing.stop - 1:,}"
        _say(console, f"[red]✗[/] lost of {journal.instance}: {gone}")
    if restored.lost:
        _say(console, f"[red]✗[/] {restored.shortened:,} conversations lack turns for that")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


def _minute(instant_us: int) -> str:
    return f"{utc_from_us(instant_us):%Y-%m-%d %H:%M} UTC"


class _Bar:
    """A progress bar for a person; silent elsewhere."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("")

    def told(self, what: str, done: int, total: int) -> None:
        """Show what is being done, and how much of it is."""
        self._progress.update(self._task, description=what, completed=done, total=total or None)

    def pause(self) -> None:
        """Leave the screen to a question."""
        self._progress.stop()


@contextmanager
def _bar() -> Iterator[_Bar]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown:
        yield _Bar(shown)
