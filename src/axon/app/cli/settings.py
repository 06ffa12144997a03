"""axon settings: what is in force."""

import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from axon.app.cli.command import ExampleCommand, config_option, json_option, settings_from
from axon.app.settings import Settings
from axon.app.settings.walk import SECRET_FIELDS

_HIDDEN = "********"


@click.command(cls=ExampleCommand, examples=["axon settings", "axon settings --json"])
@json_option
@config_option
def settings(as_json: bool, config: Path | None) -> None:
    """Show every setting in force.

    Those that are not the default are marked. Addresses and keys are hidden, for they may hold
    passwords.
    """
    lines = _flat(settings_from(config, {}))
    if as_json:
        sys.stdout.write(msgspec.json.encode(lines).decode() + "\n")
        return
    defaults = _flat(Settings())
    console = Console()
    for name, value in lines.items():
        mark = "" if defaults.get(name) == value else "[yellow]*[/] "
        console.print(f"{mark}{name} = {escape(msgspec.json.encode(value).decode())}")


def _flat(value: object, path: str = "") -> dict[str, object]:
    """Return the leaves of a tree of settings by their dotted names."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, tuple):
        value = {str(at): one for at, one in enumerate(value, start=1)}
    if not isinstance(value, dict):
        hidden = path.rpartition(".")[2] in SECRET_FIELDS and value
        return {path: _HIDDEN if hidden else value}
    found: dict[str, object] = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{path}.{name}" if path else str(name))
    return found
