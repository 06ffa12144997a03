"""axon keyring: the secrets without which nothing can be read again."""

from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from axon.app.cli.command import ExampleGroup, config_option, data_option, settings_from
from axon.app.folders import DataFolder
from axon.app.keyring_backup import back_up
from axon.base import SystemClock


@click.group(cls=ExampleGroup, examples=["axon keyring backup /mnt/safe/axon-keyring.json"])
def keyring() -> None:
    """The keyring, without which nothing can be read again."""


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
