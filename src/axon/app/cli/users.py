"""axon users: the people and programs of an organization that hold API keys."""

from collections.abc import Mapping

import click

from axon.accounts import AccountsAdmin, Home, User
from axon.app.cli.asking import Asked, all_users, for_accounts, org_named, org_option
from axon.app.cli.command import ExampleGroup
from axon.app.cli.tables import day, show
from axon.gateway import PERMISSIONS


@click.group(
    cls=ExampleGroup, examples=["axon users create ada --org acme", "axon users list --org acme"]
)
def users() -> None:
    """Users: the people and programs that hold API keys."""


@users.command(
    "create",
    examples=[
        "axon users create ada --org acme",
        "axon users create backend --org acme --permission admin",
    ],
)
@click.argument("name")
@org_option
@click.option(
    "--permission", "permissions", multiple=True, type=click.Choice(sorted(PERMISSIONS)),
    help="What a key of theirs may do beside its own turns (docs/access.md); may be repeated.",
)  # fmt: skip
@for_accounts
def create_user(asked: Asked, name: str, org: str, permissions: tuple[str, ...]) -> None:
    """Make a user of an organization."""

    async def work(admin: AccountsAdmin) -> User:
        return await admin.create_user((await org_named(admin, org)).org_id, name, permissions)

    _show([asked.run(work)], {}, asked.as_json)


@users.command(
    "place",
    examples=[
        "axon users place ada --org acme --region eu",
        'axon users place ada --org acme --region ""     # where the organization is, again',
    ],
)
@click.argument("name")
@org_option
@click.option("--region", required=True, help="Whose cell keeps what is theirs.")
@for_accounts
def place_user(asked: Asked, name: str, org: str, region: str) -> None:
    """Say that a person belongs to another region than the organization.

    This cell then refuses with 421 what concerns them, whoever asks. It keeps a number and the
    region, not the name; NAME need not be a user. Whoever has said something here is exported and
    forgotten first (POST /v1/privacy/export and /v1/privacy/erase).
    """

    async def work(admin: AccountsAdmin) -> Home:
        return await admin.place_user((await org_named(admin, org)).org_id, name, region)

    home = asked.run(work)
    columns = {"User": [name], "Number": [f"{home.user:016x}"], "Region": [home.region]}
    show([home], columns, asked.as_json)


@users.command("list", examples=["axon users list", "axon users list --org acme --json"])
@org_option
@for_accounts
def list_users(asked: Asked, org: str) -> None:
    """List the users of an organization."""

    async def work(admin: AccountsAdmin) -> tuple[list[User], dict[int, str]]:
        org_id = (await org_named(admin, org)).org_id
        return await all_users(admin, org_id), await admin.list_homes(org_id)

    _show(*asked.run(work), asked.as_json)


def _show(found: list[User], homes: Mapping[int, str], as_json: bool) -> None:
    columns = {
        "User": [user.name for user in found],
        "Region": [homes.get(user.user, "") for user in found],
        "Permissions": [", ".join(user.permissions) for user in found],
        "Created": [day(user.created_us) for user in found],
    }
    show(found, columns, as_json)
