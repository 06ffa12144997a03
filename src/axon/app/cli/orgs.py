"""axon orgs: the tenants everything belongs to."""

import click

from axon.accounts import AccountsAdmin, Org
from axon.app.cli.asking import Asked, all_orgs, for_accounts
from axon.app.cli.command import ExampleGroup
from axon.app.cli.tables import day, show
from axon.limits import LimitsAdmin

_NO_TIER = "default"
"""Of organizations to which only the rules of all tiers apply; it needs no definition."""


@click.group(cls=ExampleGroup, examples=["axon orgs create acme", "axon orgs list"])
def orgs() -> None:
    """Organizations: the tenants everything belongs to."""


@orgs.command(
    "create", examples=["axon orgs create acme", "axon orgs create acme --tier pro --region eu"]
)
@click.argument("name")
@click.option("--tier", default=_NO_TIER, show_default=True, help="What it may use.")
@click.option("--region", default="", help="Where its data lives, instead of this cell's region.")
@for_accounts
def create_org(asked: Asked, name: str, tier: str, region: str) -> None:
    """Make an organization.

    One of another region is made in the cell of that region. None moves from one region to
    another: make it there, export its people here, erase them here, and revoke its keys.
    """

    async def work(admin: AccountsAdmin, limits: LimitsAdmin) -> Org:
        if tier != _NO_TIER:
            await limits.tier(tier)  # a mistyped one would have no limits
        return await admin.create_org(name, tier, region)

    _show([asked.run_with_limits(work)], asked.as_json)


@orgs.command("list", examples=["axon orgs list", "axon orgs list --json"])
@for_accounts
def list_orgs(asked: Asked) -> None:
    """List the organizations."""
    _show(asked.run(all_orgs), asked.as_json)


def _show(found: list[Org], as_json: bool) -> None:
    columns = {
        "Organization": [org.name for org in found],
        "Tier": [org.tier for org in found],
        "Region": [org.region for org in found],
        "Created": [day(org.created_us) for org in found],
        "Id": [org.org_id for org in found],
    }
    show(found, columns, as_json)
