"""axon archive: what is in cold storage, moving conversations there now, and bringing one back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from axon.app.administration import database_address
from axon.app.archiving import Archiving
from axon.app.cli.command import (
    ExampleGroup,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.tables import show
from axon.app.settings import Settings
from axon.archive import Thawing
from axon.base import MIB, SystemClock, SystemRandomness
from axon.stores import ObjectsAway, Postgres

Result = TypeVar("Result")


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `status` shows."""

    archiving: bool
    """Whether conversations go there by themselves."""
    after_days: int
    conversations: int
    items: int
    bytes: int
    objects: int
    object_bytes: int
    waiting_to_be_deleted: int
    reachable: bool
    reason: str
    """Why it is not."""


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon archive status",
        "axon archive run                 # move what is due now, instead of within the hour",
        "axon archive restore conv_018f2  # bring one back",
    ],
)
def archive() -> None:
    """Conversations nobody touches, in cold storage; they come back when somebody does."""


@archive.command("status", examples=["axon archive status", "axon archive status --json"])
@data_option
@json_option
@config_option
def show_status(data: str | None, as_json: bool, config: Path | None) -> None:
    """Show how much is in the archive, and whether it can be reached from here."""
    settings = settings_from(config, {"AXON_DATA": data})
    found = _with_archive(settings, _status)
    columns = {
        "Conversations": [f"{found.conversations:,}"],
        "Items": [f"{found.items:,}"],
        "Size": [f"{found.bytes / MIB:,.1f} MiB"],
        "Objects": [f"{found.objects:,}"],
        "To be deleted": [f"{found.waiting_to_be_deleted:,}"],
        "Goes there after": [f"{found.after_days} days" if found.archiving else "never"],
        "Reachable": ["yes" if found.reachable else found.reason],
    }
    show([found], columns, as_json)


@archive.command("run", examples=["axon archive run", "axon archive run --data /var/lib/axon"])
@data_option
@config_option
def run_now(data: str | None, config: Path | None) -> None:
    """Move everything that is due now; the scheduler does the same every hour.

    May be stopped at any time: what was moved is moved, and the rest is where it was.
    """
    settings = settings_from(config, {"AXON_DATA": data})
    console = Console()
    if not settings.archive.after_days:
        raise click.UsageError("archive.after_days is 0: nothing is ever due.")
    with _bar() as told:
        done = _with_archive(settings, lambda one: one.cooling.run(told))
    console.print(
        f"[green]✓[/] {done.conversations:,} conversations went to the archive, in "
        f"{done.objects:,} objects of {done.bytes / MIB:,.1f} MiB",
        highlight=False,
        soft_wrap=True,
    )


@archive.command(
    "restore",
    examples=["axon archive restore conv_018f2ab4", "axon archive status  # one less is there"],
)
@click.argument("conversation")
@data_option
@config_option
def restore_one(conversation: str, data: str | None, config: Path | None) -> None:
    """Bring a CONVERSATION back into PostgreSQL, as reading it would."""
    settings = settings_from(config, {"AXON_DATA": data})
    frame = _with_archive(settings, lambda one: Thawing(one.parts).thaw_by_id(conversation))
    Console().print(
        f"[green]✓[/] {conversation}: {frame.items:,} items are back",
        highlight=False,
        soft_wrap=True,
    )


async def _status(archiving: Archiving) -> _Status:
    held = await archiving.sweeping.holdings()
    reason = ""
    try:
        await archiving.parts.objects.check()
    except ObjectsAway as error:
        reason = error.detail
    return _Status(
        archiving=archiving.cools,
        after_days=archiving.settings.after_days,
        conversations=held.conversations,
        items=held.items,
        bytes=held.bytes,
        objects=held.objects,
        object_bytes=held.object_bytes,
        waiting_to_be_deleted=held.dropped,
        reachable=not reason,
        reason=reason,
    )


def _with_archive(settings: Settings, work: Callable[[Archiving], Awaitable[Result]]) -> Result:
    """Return what `work` makes of the archive; blocks, raises PostgresAway."""

    async def run() -> Result:
        clock = SystemClock()
        postgres = Postgres(database_address(settings), clock=clock)
        await postgres.start()
        try:
            return await work(Archiving.of(settings, postgres, clock, SystemRandomness()))
        finally:
            await postgres.stop()

    return asyncio.run(run())


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar for a person; silent elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with shown:
        task = shown.add_task("conversations", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
