"""axon flags replay: a draft of flags on turns of the past."""

from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from axon.app.cli.command import ExampleCommand
from axon.app.cli.instants import AGO_OR_INSTANT
from axon.app.cli.metering import Metering, MeteringRooms, for_metering
from axon.app.cli.money import money
from axon.app.cli.tables import show
from axon.app.flag_replay import Draft, FlagMoves, Outcome, Range, Stage, replay
from axon.flags import read_defined
from axon.metering import PriceBook

_READ_TIMEOUT_S = 30.0
"""Of the flags in force: some thousand rows."""


@click.command(
    "replay",
    cls=ExampleCommand,
    examples=[
        "axon flags replay --draft new-prompt.json --since 7d",
        "axon flags replay --draft new-prompt.json --since 2026-11-01 --until 2026-11-08 --json",
    ],
)
@click.option(
    "--draft", "source", type=click.File("rb"), required=True, help="A file in flagd's format."
)
@click.option(
    "--since", type=AGO_OR_INSTANT, default="7d", help="7d, 12h, 30m, or an instant; else 7d."
)
@click.option("--until", type=AGO_OR_INSTANT, default="0m", help="The same; else now.")
@for_metering
def replay_flags(asked: Metering, source: Any, since: int, until: int) -> None:
    """Show who would have been served something else by a draft, and at what cost.

    The draft's flags stand among those in force, and are asked about every turn of that time, as it
    was asked then. Nothing is changed, and no model is asked: tokens are those that were used.
    Needs the database of the settings, or that of the data folder's running `axon up`.
    """
    if since >= until:
        raise click.UsageError("--since is before --until")
    document = source.read()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("turns", total=None)

        def told(stage: Stage) -> None:
            progress.update(task, completed=stage.done, total=stage.total)

        async def work(rooms: MeteringRooms) -> Outcome:
            async with (
                rooms.postgres.connection(_READ_TIMEOUT_S) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                defined = await read_defined(connection)
            prices = PriceBook(await rooms.prices.list_all())
            draft = Draft(document, list(defined.flags))
            return await replay(rooms.postgres, draft, prices, Range(since, until), told)

        outcome = asked.run(work)
    if asked.as_json:
        click.echo(msgspec.json.encode(outcome))
    else:
        _print(outcome)


def _print(outcome: Outcome) -> None:
    click.echo(f"{outcome.moved:,} of {outcome.turns:,} turns would have been served differently.")
    for flag in outcome.flags:
        _print_flag(flag)
    if outcome.rerouted:
        click.echo(f"\n{outcome.rerouted:,} turns would have run on another model.")
    for cost in outcome.costs:
        apart = cost.after_nano - cost.before_nano
        sign = "+" if apart >= 0 else ""
        click.echo(
            f"Cost: {money(cost.before_nano)} {cost.currency} was, "
            f"{money(cost.after_nano)} would be ({sign}{money(apart)})."
        )
    if outcome.unpriced:
        click.echo(f"Not in it: {outcome.unpriced:,} turns whose model had no price then.")


def _print_flag(flag: FlagMoves) -> None:
    click.echo(f"\n{flag.flag}, by {flag.unit}:")
    columns = {
        "From": [move.before for move in flag.moves],
        "To": ["the same" if move.stays else move.after for move in flag.moves],
        "Turns": [f"{move.turns:,}" for move in flag.moves],
        "Units": [f"{move.units:,}" for move in flag.moves],
        "Such as": [", ".join(move.sample[:3]) for move in flag.moves],
    }
    show(flag.moves, columns, as_json=False)
    if flag.failed:
        click.echo(f"About {flag.failed:,} turns the draft could not be decided: they are off.")
