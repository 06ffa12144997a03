"""axon billing stripe: has Stripe know what organizations' hours cost, and sees that it does."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from rich.console import Console

from axon.accounts import Org
from axon.app.cli.asking import Asked, org_named
from axon.app.cli.command import ExampleGroup
from axon.app.cli.instants import INSTANT
from axon.app.cli.metering import Metering, for_metering
from axon.app.cli.money import money
from axon.app.cli.tables import day, show
from axon.base import SystemClock
from axon.billing import HourDiffers, StripeApi, StripeSync

Result = TypeVar("Result")


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon billing stripe link acme                  # makes a customer of it",
        "axon billing stripe sync                       # tell Stripe what it lacks",
        "axon billing stripe check --from 2026-11-01    # does Stripe have what it was told?",
    ],
)
def stripe() -> None:
    """Stripe: meters of what linked organizations' hours cost, in billionths of the currency."""


@stripe.command(
    "link",
    examples=[
        "axon billing stripe link acme",
        "axon billing stripe link acme --customer cus_NciAYcXfLnqBoz",
    ],
)
@click.argument("org")
@click.option("--customer", default="", help="Of Stripe's; else one is made.")
@for_metering
def link(asked: Metering, org: str, customer: str) -> None:
    """Have Stripe told of an organization's cost, from this hour on."""
    accounts = Asked(asked.settings, asked.as_json)
    found: Org = accounts.run(lambda admin: org_named(admin, org))
    customer_id = _run(asked, lambda sync: sync.link(found.org_id, found.name, customer))
    linked = [{"org_id": found.org_id, "customer_id": customer_id}]
    columns = {"Organization": [found.name], "Customer": [customer_id]}
    show(linked, columns, asked.as_json)


@stripe.command("sync", examples=["axon billing stripe sync", "axon billing stripe sync --json"])
@for_metering
def sync_meters(asked: Metering) -> None:
    """Tell Stripe of every hour that it lacks; done again it tells nothing twice.

    The exit code is 1 when Stripe rejected something; `--json` says how much.
    """
    told = _run(asked, lambda sync: sync.run_round())
    columns = {
        "New": [str(told.gathered)],
        "Sent": [str(told.sent)],
        "Rejected": [str(told.rejected)],
        "Left": [str(told.due)],
    }
    show([told], columns, asked.as_json)
    sys.exit(told.rejected > 0)


@stripe.command(
    "check",
    examples=[
        "axon billing stripe check --from 2026-11-01",
        "axon billing stripe check --from 2026-11-01 --to 2026-12-01 --mend",
    ],
)
@click.option("--from", "begins", type=INSTANT, required=True, help="From this hour on.")
@click.option("--to", "ends", type=INSTANT, help="Before this hour; else until an hour ago.")
@click.option("--mend", is_flag=True, help="Tell again what Stripe has lost.")
@for_metering
def check(asked: Metering, begins: int, ends: int | None, mend: bool) -> None:
    """Compare what Stripe's meters say with what it was sent; name every hour that differs.

    Stripe sums a while after it is told: what was sent in the last hour may not be there yet. The
    exit code is 1 when something differs.
    """
    until_us = ends or SystemClock().now_us() - 3600 * 1_000_000

    async def work(sync: StripeSync) -> tuple[list[HourDiffers], int]:
        found = await sync.differences(begins, until_us)
        return found, sum([await sync.mend(one) for one in found]) if mend else 0

    found, mended = _run(asked, work)
    _show(found, asked.as_json)
    if mend:
        message = f"[dim]{mended} of {len(found)} are told again by the next sync."
        Console(stderr=True).print(message)
    sys.exit(bool(found))


def _run(asked: Metering, work: Callable[[StripeSync], Awaitable[Result]]) -> Result:
    account = StripeApi(asked.settings.stripe.key, asked.settings.stripe.base_url)
    return asked.run(lambda rooms: work(StripeSync(rooms.postgres, SystemClock(), account)))


def _show(found: list[HourDiffers], as_json: bool) -> None:
    columns = {
        "Organization": [one.org_id for one in found],
        "Hour": [day(one.hour_us) for one in found],
        "Currency": [one.currency for one in found],
        "Sent": [money(one.sent_nano) for one in found],
        "Stripe has": [money(one.stripe_nano) for one in found],
    }
    show(found, columns, as_json)
