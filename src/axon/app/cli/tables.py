"""How the commands show lists: a table for people, JSON for scripts."""

from collections.abc import Sequence

import click
import msgspec
from rich.console import Console
from rich.table import Table

from axon.base import utc_from_us

NEVER = "never"

_PIPE_WIDTH = 400


def show(rows: Sequence[object], columns: dict[str, list[str]], as_json: bool) -> None:
    """Print `rows` (dataclasses or structs) as JSON lines, or `columns` as a table."""
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row))
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    *others, last = columns
    for title in others:
        table.add_column(title, no_wrap=True)
    table.add_column(last, overflow="fold")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    wide_console().print(table)


def wide_console() -> Console:
    """Return stdout as a console; a file or a pipe gets whole lines, for it has no width."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPE_WIDTH)


def day(instant_us: int) -> str:
    """Return the minute of an instant in UTC for a table; 0 is never."""
    return utc_from_us(instant_us).strftime("%Y-%m-%d %H:%M") if instant_us else NEVER
