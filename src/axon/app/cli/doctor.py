"""axon doctor: is everything well, and if not, what to do."""

import asyncio
import sys
from pathlib import Path

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from axon.app.cli.command import (
    ExampleCommand,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.tables import wide_console
from axon.app.doctor import Finding, examine

_SIGNS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "broken": "[red]✗[/]"}


@click.command(
    cls=ExampleCommand,
    examples=["axon doctor", "axon doctor --data /var/lib/axon", "axon doctor --json | jq"],
)
@data_option
@json_option
@config_option
def doctor(data: str | None, as_json: bool, config: Path | None) -> None:
    """Look at every part; say what to do about what is not well.

    Exit code 1 when something is broken; warnings leave it 0.
    """
    findings = asyncio.run(examine(settings_from(config, {"AXON_DATA": data})))
    if as_json:
        for finding in findings:
            click.echo(msgspec.json.encode(finding))
    else:
        _print(findings)
    sys.exit(any(finding.state == "broken" for finding in findings))


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for finding in findings:
        table.add_row(_SIGNS[finding.state], finding.part, escape(finding.seen))
        if finding.advice:
            table.add_row("", "", f"[bold]→ {escape(finding.advice)}[/]")
    wide_console().print(table)
