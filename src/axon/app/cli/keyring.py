"""axon keyring: the secrets without which nothing can be read again."""

import asyncio
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from axon.app.backup import database_in_use
from axon.app.cli.command import (
    ExampleGroup,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.keyring_rotating import destroy, rotate
from axon.app.cli.tables import NEVER, day, show, wide_console
from axon.app.folders import DataFolder
from axon.app.key_state import KeyState, RotationState, key_state
from axon.app.keyring_backup import back_up
from axon.base import SystemClock


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon keyring backup /mnt/safe/axon-keyring.json",
        "axon keyring status",
        "axon keyring rotate --kek",
    ],
)
def keyring() -> None:
    """Keys: what wraps them, how old they are, new ones, and a copy of the keyring."""


keyring.add_command(rotate)
keyring.add_command(destroy)


@keyring.command(
    "backup",
    examples=[
        "axon keyring backup /mnt/safe/axon-keyring.json",
        "axon keyring backup /mnt/safe/ --data /var/lib/axon",
    ],
)
@click.argument("target", type=click.Path(path_type=Path))
@data_option
@config_option
def backup(target: Path, data: str | None, config: Path | None) -> None:
    """Copy the keyring to TARGET, a file or a folder, readable by its owner only.

    Keep the copy away from the backups of the content: together they are readable.
    """
    folder = DataFolder.of(settings_from(config, {"AXON_DATA": data}))
    written = back_up(folder, target, SystemClock())
    note = f"{escape(str(written))}; to restore it, copy it to {escape(str(folder.keyring))}"
    Console().print(f"[green]✓[/] {note}", highlight=False, soft_wrap=True)


@keyring.command("status", examples=["axon keyring status", "axon keyring status --json"])
@json_option
@data_option
@config_option
def status(as_json: bool, data: str | None, config: Path | None) -> None:
    """Show what wraps the keys, how many there are of which age, and when they were backed up."""
    with database_in_use(settings_from(config, {"AXON_DATA": data})) as place:
        found = asyncio.run(key_state(place))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    _show_parts(found)
    columns = {
        "Organization": [one.org_id for one in found.orgs],
        "Region": [one.region for one in found.orgs],
        "Versions": [f"{one.versions}" for one in found.orgs],
        "Newest of": [day(one.newest_us) for one in found.orgs],
        "People's keys": [f"{one.data_keys:,}" for one in found.orgs],
        "Under older": [f"{one.older:,}" for one in found.orgs],
        "Wrapped by": [f"{one.root} {one.root_version}".strip() for one in found.orgs],
    }
    show(found.orgs, columns, as_json=False)


def _show_parts(found: KeyState) -> None:
    root = f"{found.root} {found.root_version}".strip()
    said = "" if found.root_state == "answers" else f" [red]away[/]: {escape(found.root_reason)}"
    backed_up = _when(found.keyring_backed_up_us)
    lines = [
        f"root             {escape(root)}{said}",
        f"keyring          {found.keyring_keys} keys, backed up {backed_up}",
        f"data keys        backed up {_when(found.keys_backed_up_us)}",
    ]
    if found.by_keyring:
        lines.append(
            f"by the keyring   {found.by_keyring:,} people's keys: axon keyring rotate --kek"
        )
    lines += [f"rotation         {_told(one)}" for one in found.rotations]
    console = wide_console()
    for line in lines:
        console.print(line, highlight=False)
    console.print()


def _told(one: RotationState) -> str:
    whose = one.org_id or "all organizations"
    ended = f"ended {day(one.ended_us)}" if one.ended_us else "[red]was cut short[/]: run it again"
    return f"{one.kind} of {escape(whose)}, began {day(one.began_us)}, {ended}"


def _when(instant_us: int) -> str:
    return day(instant_us) if instant_us else f"[yellow]{NEVER}[/]"
