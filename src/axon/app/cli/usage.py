"""axon usage: what was used, and what it cost."""

import csv
import dataclasses
import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo

import click

from axon.app.cli.command import ExampleCommand
from axon.app.cli.instants import INSTANT
from axon.app.cli.metering import Metering, for_metering, org_id_of
from axon.app.cli.money import money
from axon.app.cli.tables import show
from axon.app.folders import DataFolder
from axon.base import MICROS_PER_SECOND, SystemClock, SystemRandomness, user_number
from axon.metering import Dimension, UsageAnswer, UsageQuestion, Width, zone_named
from axon.sealing import Keyring

_SHOWN_US = {
    "hour": 86_400 * MICROS_PER_SECOND,
    "day": 31 * 86_400 * MICROS_PER_SECOND,
    "month": 365 * 86_400 * MICROS_PER_SECOND,
}
"""How far back it looks when nothing is said: a day of hours, a month of days, a year of months."""

_FORMATS = {"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line of the report."""

    period: str
    org_id: str
    user: str | None
    model: str | None
    requests: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    currency: str
    cost_nano: int
    overage_nano: int


@click.command(
    "usage",
    cls=ExampleCommand,
    examples=[
        "axon usage --org acme --by month",
        "axon usage --org acme --user ada --by day --time-zone Europe/Berlin",
        "axon usage --org acme --by month --csv > usage.csv",
    ],
)
@click.option("--org", default="", help="Only of this organization, by name or id; else of all.")
@click.option("--user", default="", help="Only of this person of the organization, by name.")
@click.option("--model", "models", multiple=True, help="Only of this model; may be repeated.")
@click.option(
    "--by", "width", type=click.Choice(["hour", "day", "month"]), default="day", show_default=True,
    help="How long a period is.",
)  # fmt: skip
@click.option("--users", "by_user", is_flag=True, help="Tell persons apart.")
@click.option("--time-zone", default="UTC", show_default=True, help="Whose days and months.")
@click.option("--from", "begins", type=INSTANT, help="The first period is the one with this time.")
@click.option("--to", "ends", type=INSTANT, help="The first instant that no longer counts.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@for_metering
def usage(  # noqa: PLR0913 - a command has its options
    asked: Metering,
    org: str,
    user: str,
    models: tuple[str, ...],
    width: Width,
    by_user: bool,
    time_zone: str,
    begins: int | None,
    ends: int | None,
    as_csv: bool,
) -> None:
    """Show tokens, requests and costs by period, organization and model."""
    if user and not org:
        raise click.UsageError("--user wants --org: a name is of one organization.")
    zone = zone_named(time_zone)
    end_us = ends or SystemClock().now_us() + 1
    groups: set[Dimension] = {"model"}
    if by_user or user:
        groups.add("user_id")
    org_id = org_id_of(asked, org) if org else ""
    question = UsageQuestion(
        org_id=org_id,
        start_us=begins if begins is not None else max(0, end_us - _SHOWN_US[width]),
        end_us=end_us,
        width=width,
        zone=zone,
        group_by=frozenset(groups),
        users=(_number(asked, org_id, user),) if user else (),
        models=models,
    )
    answer = asked.run(lambda rooms: rooms.usage.ask(question))
    lines = _lines(answer, zone, _FORMATS[width])
    if as_csv:
        _print_csv(lines)
    else:
        _show(lines, asked.as_json, with_users="user_id" in groups)


def _number(asked: Metering, org_id: str, name: str) -> int:
    """Return the number of a person, who may be one that only a key names."""
    keyring = Keyring.open(DataFolder.of(asked.settings).keyring, SystemRandomness())
    return user_number(keyring.identity, org_id, name)


def _lines(answer: UsageAnswer, zone: tzinfo, form: str) -> list[_Line]:
    return [
        _Line(
            period=datetime.fromtimestamp(
                answer.edges[one.period] // MICROS_PER_SECOND, zone
            ).strftime(form),
            org_id=one.org_id,
            user=None if one.user is None else f"{one.user:016x}",
            model=one.model,
            requests=one.requests_count,
            input_tokens=one.input_tokens,
            cached_tokens=one.cached_tokens,
            cache_write_tokens=one.cache_write_tokens,
            output_tokens=one.output_tokens,
            reasoning_tokens=one.reasoning_tokens,
            currency=one.currency,
            cost_nano=one.cost_nano,
            overage_nano=one.overage_nano,
        )
        for one in answer.sums
    ]


def _print_csv(lines: Sequence[_Line]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow([field.name for field in dataclasses.fields(_Line)])
    writer.writerows(dataclasses.astuple(line) for line in lines)


def _show(lines: Sequence[_Line], as_json: bool, with_users: bool) -> None:
    users = {"User": [line.user or "" for line in lines]} if with_users else {}
    overage = {}
    if any(line.overage_nano for line in lines):
        overage = {"Overage": [money(line.overage_nano) for line in lines]}
    columns = {
        "Period": [line.period for line in lines],
        "Organization": [line.org_id for line in lines],
        **users,
        "Model": [line.model or "" for line in lines],
        "Requests": [f"{line.requests:,}" for line in lines],
        "Input": [f"{line.input_tokens:,}" for line in lines],
        "Cached": [f"{line.cached_tokens:,}" for line in lines],
        "Output": [f"{line.output_tokens:,}" for line in lines],
        **overage,
        "Cost": [f"{money(line.cost_nano)} {line.currency}".strip() for line in lines],
    }
    show(lines, columns, as_json)
