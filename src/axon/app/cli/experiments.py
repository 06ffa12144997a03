"""axon experiments: what is tried on flags, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import msgspec

from axon.app.cli.command import (
    ExampleGroup,
)
from axon.app.cli.of_running import asking
from axon.app.cli.tables import day, show
from axon.app.experiments_client import ExperimentsClient
from axon.app.flags_client import FlagsClient
from axon.base import MICROS_PER_SECOND
from axon.statistics import report_rows, split_text

_name = click.argument("name")
_why_option = click.option("--why", default="", help="Why, for the history.")


@dataclass(frozen=True, slots=True)
class Asked:
    """How a command was asked: of which Axon, and for what kind of answer."""

    client: ExperimentsClient
    as_json: bool

    def tell(self, found: Any) -> None:
        """Say how an experiment stands."""
        if self.as_json:
            click.echo(msgspec.json.encode(found))
            return
        shares = ", ".join(f"{name} {share:g}%" for name, share in found["shares"].items())
        who = f" {found['unit']}s" if found["unit"] else ""
        click.echo(
            f"{found['name']} is {found['state']}{f', for{who}: {shares}' if shares else ''}."
        )


_asking = asking(
    lambda base_url, key, as_json: Asked(ExperimentsClient(FlagsClient(base_url, key)), as_json),
    "A key with the permission `flags`.",
)


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon experiments describe warmer-words warmer-words.json",
        "axon experiments start warmer-words",
        "axon experiments results warmer-words",
        "axon experiments widen warmer-words off=50 on=50 --why 'it does no harm'",
        "axon experiments stop warmer-words --ships on --decision 'people come back'",
    ],
)
def experiments() -> None:
    """Experiments: a flag's variants compared on real turns (docs/experiments.md).

    An experiment is a flag, a hypothesis, shares of all units, and metrics that turns have anyway.
    While it runs nobody is moved from one variant to another, and the flag can only be switched
    off. The commands ask a running Axon, as `axon flags` does.
    """


@experiments.command("list", examples=["axon experiments list", "axon experiments list --json"])
@_asking
def list_experiments(asked: Asked) -> None:
    """List every experiment, the one that was changed last first."""
    found = asked.client.all().data
    columns: dict[str, list[str]] = {
        "Experiment": [one.name for one in found],
        "State": [one.state for one in found],
        "Flag": [one.definition.flag for one in found],
        "Since": [_day(one.started_at) for one in found],
        "Decision": [one.decision for one in found],
    }
    show(found, columns, asked.as_json)


@experiments.command("show", examples=["axon experiments show warmer-words"])
@_name
@_asking
def show_experiment(asked: Asked, name: str) -> None:
    """Show an experiment whole: what it asks, its shares, and what was decided."""
    found = msgspec.json.encode(asked.client.one(name))
    click.echo(found if asked.as_json else msgspec.json.format(found))


@experiments.command(
    "describe",
    examples=[
        "axon experiments describe warmer-words warmer-words.json",
        """echo '{"flag": "tone", "hypothesis": "Warm words bring people back.", "control": "off",
        "shares": {"off": 10, "on": 10}, "primary": ["retention_1"],
        "guardrails": [{"metric": "cost_per_turn", "kills": true}]}'
        | axon experiments describe warmer-words -""",
    ],
)
@_name
@click.argument("source", type=click.File("rb"), metavar="FILE")
@_why_option
@_asking
def describe_experiment(asked: Asked, name: str, source: Any, why: str) -> None:
    """Make an experiment of a JSON file (- is stdin), or change one that has not started.

    Metrics: cost_per_turn, cost_per_unit, input_tokens, output_tokens, latency,
    time_to_first_token, error_rate, refusal_rate, thumbs_up_rate, regeneration_rate,
    turns_per_conversation, turns_per_unit, retention_N, and event:TYPE or event:TYPE#MEMBER
    for outside events.
    """
    try:
        described = msgspec.json.decode(source.read())
    except msgspec.DecodeError as error:
        raise click.UsageError(f"the file is no JSON: {error}") from error
    asked.tell(asked.client.describe(name, described, why))


@experiments.command(
    "start", examples=["axon experiments start warmer-words --why 'the first day'"]
)
@_name
@_why_option
@_asking
def start_experiment(asked: Asked, name: str, why: str) -> None:
    """Begin: from now on units have their variants, and keep them."""
    asked.tell(asked.client.step(name, "start", {"why": why}))


@experiments.command("widen", examples=["axon experiments widen warmer-words off=50 on=50"])
@_name
@click.argument("shares", nargs=-1, required=True, metavar="VARIANT=PERCENT...")
@_why_option
@_asking
def widen_experiment(asked: Asked, name: str, shares: Sequence[str], why: str) -> None:
    """Give variants more units, in percent of all; name every variant. Nobody loses one."""
    asked.tell(asked.client.step(name, "shares", {"shares": _shares(shares), "why": why}))


@experiments.command(
    "stop",
    examples=[
        "axon experiments stop warmer-words --decision 'no difference'",
        "axon experiments stop warmer-words --ships on --decision 'people come back'",
    ],
)
@_name
@click.option("--decision", default="", help="What was decided; `decide` can say it later.")
@click.option("--ships", default="", metavar="VARIANT", help="Everybody gets this one from now on.")
@_why_option
@_asking
def stop_experiment(asked: Asked, name: str, **said: str) -> None:
    """End it: the flag is what its definition says, or one variant for everybody."""
    asked.tell(asked.client.step(name, "stop", said))


@experiments.command("decide", examples=["axon experiments decide warmer-words 'not worth it'"])
@_name
@click.argument("decision")
@_why_option
@_asking
def decide_experiment(asked: Asked, name: str, **said: str) -> None:
    """Write down what was decided, of an experiment that has stopped."""
    asked.tell(asked.client.step(name, "decision", said))


@experiments.command(
    "results",
    examples=[
        "axon experiments results warmer-words",
        "axon experiments results warmer-words --html report.html",
    ],
)
@_name
@click.option("--html", "page", type=click.File("wb"), help="Write a page with charts there.")
@_asking
def show_results(asked: Asked, name: str, page: Any) -> None:
    """Show what was calculated last: every metric and variant, with intervals and verdicts."""
    if page is not None:
        page.write(asked.client.page(name))
        return
    found = asked.client.results(name)
    if not asked.as_json:
        click.echo(f"{name}, {day(found.results.calculated_us)}. {split_text(found.results)}")
    show([found], report_rows(found.results), asked.as_json)


@experiments.command("history", examples=["axon experiments history warmer-words"])
@_name
@_asking
def show_history(asked: Asked, name: str) -> None:
    """Show who changed an experiment, when and why; with --json also how it was before."""
    found = asked.client.history(name).data
    columns: dict[str, list[str]] = {
        "Version": [str(one.version) for one in found],
        "Change": [one.action for one in found],
        "When": [_day(one.at) for one in found],
        "By": [one.by for one in found],
        "Why": [one.why for one in found],
    }
    show(found, columns, asked.as_json)


def _day(instant_s: int | None) -> str:
    return day(instant_s * MICROS_PER_SECOND) if instant_s else ""


def _shares(given: Sequence[str]) -> dict[str, float]:
    """Return percents by variant; a mistake of the command line for what is none."""
    found = {}
    for one in given:
        variant, _, percent = one.rpartition("=")
        try:
            found[variant] = float(percent.removesuffix("%"))
        except ValueError:
            raise click.UsageError(f'"{one}" is no VARIANT=PERCENT') from None
    return found
