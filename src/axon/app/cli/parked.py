"""axon parked: records a room could not apply; look at them, and try them again after a fix."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from axon.app.administration import database_address
from axon.app.cli.command import (
    ExampleGroup,
    config_option,
    data_option,
    json_option,
    settings_from,
)
from axon.app.cli.tables import day, show
from axon.app.roles.projector import projection
from axon.app.settings import Settings
from axon.base import AxonError
from axon.projection import ParkedRecord, Projection

Result = TypeVar("Result")

_ERROR_SHOWN = 80
"""Characters of an error in the list; `show` has all of it."""


class NotParked(AxonError):
    """No record is parked under this number; see `axon parked list`."""


@click.group(cls=ExampleGroup, examples=["axon parked list", "axon parked replay"])
def parked() -> None:
    """Records PostgreSQL did not take: nothing is lost, and they can be tried again."""


@parked.command("list", examples=["axon parked list", "axon parked list --room conversations"])
@click.option("--room", default="", help="Only what this room did not take.")
@click.option("--after", default=0, help="Only those behind this number.")
@data_option
@json_option
@config_option
def list_parked(
    room: str, after: int, data: str | None, as_json: bool, config: Path | None
) -> None:
    """Show what is parked, oldest first, a page at a time; never its content.

    `failed` is what could not be applied, `behind` only waits for one before it, and `waiting` is
    tried again by itself.
    """
    settings = settings_from(config, {"AXON_DATA": data})
    found = _with_projection(settings, lambda one: one.list_parked(room, after))
    columns = {
        "Number": [str(one.number) for one in found],
        "State": [one.state for one in found],
        "Room": [one.room for one in found],
        "Position": [f"{one.instance}:{one.sequence}" for one in found],
        "Record": [one.record for one in found],
        "Conversation": [one.conversation_id for one in found],
        "Since": [day(one.parked_us) for one in found],
        "Error": [one.error[:_ERROR_SHOWN] for one in found],
    }
    show(found, columns, as_json)


@parked.command("show", examples=["axon parked show 17", "axon parked show 17 --json"])
@click.argument("number", type=int)
@data_option
@json_option
@config_option
def show_parked(number: int, data: str | None, as_json: bool, config: Path | None) -> None:
    """Show one parked record: where it is from, whose it is, and the whole error; no content."""
    settings = settings_from(config, {"AXON_DATA": data})
    found = [one for one in _with_projection(settings, _around(number)) if one.number == number]
    if not found:
        raise NotParked(str(number))
    members = msgspec.to_builtins(found[0])
    columns = {"Member": list(members), "Value": [str(value) for value in members.values()]}
    show(found, columns, as_json)


@parked.command("replay", examples=["axon parked replay", "axon parked replay 17"])
@click.argument("number", type=int, required=False)
@click.option("--room", default="", help="Only what this room did not take.")
@data_option
@json_option
@config_option
def replay_parked(
    number: int | None, room: str, data: str | None, as_json: bool, config: Path | None
) -> None:
    """Try all parked records again, or one and those of its conversation behind it.

    To be done once the cause is mended. Exit code 1 when some are refused again.
    """
    settings = settings_from(config, {"AXON_DATA": data})
    if number is None:
        done = _with_projection(settings, lambda one: one.replay_parked(room))
    else:
        done = _with_projection(settings, lambda one: one.replay_one(number))
    if number is not None and not done.applied and not done.refused:
        raise NotParked(str(number))
    columns = {"Applied": [f"{done.applied:,}"], "Refused": [f"{done.refused:,}"]}
    show([done], columns, as_json)
    sys.exit(done.refused > 0)


def _around(number: int) -> Callable[[Projection], Awaitable[list[ParkedRecord]]]:
    return lambda one: one.list_parked("", number - 1)


def _with_projection(settings: Settings, work: Callable[[Projection], Awaitable[Result]]) -> Result:
    """Return what `work` makes of this node's projection; blocks, raises PostgresAway."""

    async def run() -> Result:
        async with projection(settings, database_address(settings)) as found:
            return await work(found)

    return asyncio.run(run())
