"""axon flags import: all flags of a file, of flagd's format or another vendor's."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from axon.app.cli.command import (
    ExampleCommand,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.flags import Asked, at_option, json_of, why_option
from axon.app.cli.reaching import reached
from axon.app.flag_import import VENDORS, Imported, import_flags
from axon.app.flags_client import FlagsClient
from axon.app.folders import DataFolder
from axon.base import AxonError
from axon.flags import Mistake, read_definitions

_FLAGD = "flagd"


class NotAllKept(AxonError):
    """Flags of the file cannot be kept as they are, so nothing was changed.

    Change them where they come from, or import the others with --leave-out.
    """


@click.command(
    "import",
    cls=ExampleCommand,
    examples=[
        "axon flags import flags.json --why 'as in production'",
        "axon flags import --from unleash features.json --dry-run",
        "axon flags import --from growthbook features.json --leave-out --why 'we moved'",
        "axon flags import --from unleash features.json --dry-run --json > mine.json   # to edit",
    ],
)
@click.argument("source", type=click.File("rb"), metavar="FILE")
@click.option(
    "--from", "vendor", type=click.Choice([_FLAGD, *VENDORS]), default=_FLAGD, help="Whose format."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be made; asks no Axon.")
@click.option("--leave-out", is_flag=True, help="Leave out the flags that cannot be kept.")
@why_option
@at_option
@click.option("--base-url", envvar="AXON_BASE_URL", help="Where Axon is, with /v1.")
@click.option("--api-key", envvar="AXON_API_KEY", help="A key with the permission `flags`.")
@data_option
@json_option
@config_option
def import_command(source: Any, vendor: str, dry_run: bool, **rest: Any) -> None:
    """Make or change all flags of a file, or none of them; - is stdin.

    Of Unleash it reads what clients get from /api/client/features, and exports of one environment;
    of GrowthBook what clients get from /api/features/KEY. What a flag becomes answers as it did,
    but places people anew; what will not be as it was is told with its place, and a flag that
    cannot be kept is refused.
    """
    content, refused = source.read(), False
    if vendor == _FLAGD:
        document = json_of(content)
        if not isinstance(document, dict):
            raise click.UsageError("the file holds no object")
    else:
        found = import_flags(vendor, content)
        _tell(found)
        document, refused = found.document, bool(found.refused)
    if dry_run:
        _show(document, rest["as_json"])
        sys.exit(1 if refused and not rest["leave_out"] else 0)
    if refused and not rest["leave_out"]:
        raise NotAllKept
    change = {**document, "why": rest["why"], **({"at": rest["at"]} if rest["at"] else {})}
    asked = _asked(**rest)
    asked.tell(asked.client.bring(change), "Imported")


def _asked(
    *, base_url: str | None, api_key: str | None, data: str | None, config: Path | None, **rest: Any
) -> Asked:
    folder = DataFolder.of(settings_from(config, {"AXON_DATA": data}))
    return Asked(FlagsClient(*reached(folder, base_url, api_key)), rest["as_json"])


def _tell(found: Imported) -> None:
    """Say what will not be as it was, on stderr: the document may go into a file."""
    for remark in found.remarks:
        click.echo(remark, err=True)
    _tell_each("note", found.notes)
    _tell_each("refused", found.refused)


def _tell_each(mark: str, mistakes: list[Mistake]) -> None:
    for one in mistakes:
        click.echo(f"{mark}: {one.path}: {one.message}", err=True)


def _show(document: dict[str, Any], as_json: bool) -> None:
    """Print what would be made; raises DefinitionInvalid for what no Axon would take."""
    encoded = msgspec.json.encode(document)
    made = read_definitions(encoded)
    if as_json:
        click.echo(msgspec.json.format(encoded))
        return
    for key, flag in made.flags.items():
        state = "off" if flag.is_off else "on"
        click.echo(f"would make {key} ({flag.kind}, {state}): {', '.join(flag.variants)}")
