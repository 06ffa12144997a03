"""axon users: the people and programs of an organization that hold API keys."""

import click

from axon.accounts import AccountsAdmin, User
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

    _show([asked.run(work)], asked.as_json)


@users.command("list", examples=["axon users list", "axon users list --org acme --json"])
@org_option
@for_accounts
def list_users(asked: Asked, org: str) -> None:
    """List the users of an organization."""

    async def work(admin: AccountsAdmin) -> list[User]:
        return await all_users(admin, (await org_named(admin, org)).org_id)

    _show(asked.run(work), asked.as_json)


def _show(found: list[User], as_json: bool) -> None:
    columns = {
        "User": [user.name for user in found],
        "Permissions": [", ".join(user.permissions) for user in found],
        "Created": [day(user.created_us) for user in found],
    }
    show(found, columns, as_json)
