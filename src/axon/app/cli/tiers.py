"""axon tiers: named sets of limits that organizations are put into."""

import click

from axon.accounts import AccountsAdmin
from axon.app.cli.asking import Asked, for_accounts
from axon.app.cli.command import ExampleGroup
from axon.app.cli.limits import show_rules
from axon.app.cli.tables import show
from axon.limits import LimitsAdmin, Rule, Tier


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon tiers list",
        'axon tiers set trial --description "for a month"',
        'axon tiers set gold --description "first in the queue" --share 20',
        "axon tiers remove trial",
    ],
)
def tiers() -> None:
    """Tiers: what an organization of one may use is said by the limits that name it."""


@tiers.command("list", examples=["axon tiers list", "axon tiers list --json"])
@for_accounts
def list_tiers(asked: Asked) -> None:
    """List the tiers."""

    async def work(_: AccountsAdmin, admin: LimitsAdmin) -> list[Tier]:
        return await admin.tiers()

    _show(asked.run_with_limits(work), asked.as_json)


@tiers.command(
    "set",
    examples=[
        'axon tiers set trial --description "for a month"',
        'axon tiers set gold --description "first in the queue" --share 20',
    ],
)
@click.argument("name")
@click.option("--description", default="", help="What it is, for people.")
@click.option(
    "--share", type=int, default=0, help="Percent of the job queue that is kept for it; 0: none."
)
@for_accounts
def set_tier(asked: Asked, name: str, description: str, share: int) -> None:
    """Make a tier, or change the one of this name; it counts within a second."""
    tier = Tier(name=name, description=description, share=share)

    async def work(_: AccountsAdmin, admin: LimitsAdmin) -> list[Tier]:
        await admin.set_tier(tier)
        return [tier]

    _show(asked.run_with_limits(work), asked.as_json)


@tiers.command("remove", examples=["axon tiers remove trial"])
@click.argument("name")
@for_accounts
def remove_tier(asked: Asked, name: str) -> None:
    """Remove a tier that no organization is in, with the limits that name it; shows those."""

    async def work(_: AccountsAdmin, admin: LimitsAdmin) -> list[Rule]:
        return await admin.remove_tier(name)

    show_rules(asked.run_with_limits(work), asked.as_json)


def _show(found: list[Tier], as_json: bool) -> None:
    columns = {
        "Tier": [tier.name for tier in found],
        "Share of the queue": [f"{tier.share}%" if tier.share else "" for tier in found],
        "Description": [tier.description for tier in found],
    }
    show(found, columns, as_json)
