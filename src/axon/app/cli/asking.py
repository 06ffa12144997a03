"""What the commands for organizations, users and keys share: options, a connection, look-ups."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from axon.accounts import AccountsAdmin, Org, UnknownAccount, User
from axon.app.administration import accounts_admin, database_address, limits_admin
from axon.app.cli.command import config_option, data_option, json_option, settings_from
from axon.app.folders import DataFolder
from axon.app.settings import Settings, cells_of
from axon.limits import LimitsAdmin

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Asked:
    """How a command was asked: for which installation, and for what kind of answer."""

    settings: Settings
    as_json: bool

    def run(self, work: Callable[[AccountsAdmin], Awaitable[Result]]) -> Result:
        """Return what `work` makes of the accounts; blocks, raises what it raises."""

        async def with_admin() -> Result:
            keyring = DataFolder.of(self.settings).keyring
            url, cells = database_address(self.settings), cells_of(self.settings.residency)
            async with accounts_admin(keyring, url, cells) as admin:
                return await work(admin)

        return asyncio.run(with_admin())

    def run_with_limits(
        self, work: Callable[[AccountsAdmin, LimitsAdmin], Awaitable[Result]]
    ) -> Result:
        """Return what `work` makes of the accounts and limits; blocks, raises what it raises."""

        async def with_admin() -> Result:
            keyring, url = DataFolder.of(self.settings).keyring, database_address(self.settings)
            cells = cells_of(self.settings.residency)
            async with accounts_admin(keyring, url, cells) as admin, limits_admin(url) as limits:
                return await work(admin, limits)

        return asyncio.run(with_admin())


def for_accounts(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options and hand them to the command as its first argument, Asked."""

    @data_option
    @json_option
    @config_option
    @functools.wraps(command)
    def asked(data: str | None, as_json: bool, config: Path | None, **rest: Any) -> None:
        command(Asked(settings_from(config, {"AXON_DATA": data}), as_json), **rest)

    return asked


def org_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --org."""
    return click.option(
        "--org", default="development", show_default=True, help="The organization's name or id."
    )(command)


async def all_orgs(admin: AccountsAdmin) -> list[Org]:
    """Return every organization, oldest first."""
    found: list[Org] = []
    while page := await admin.list_orgs(found[-1].org_id if found else ""):
        found += page
    return found


async def all_users(admin: AccountsAdmin, org_id: str) -> list[User]:
    """Return every user of an organization."""
    found: list[User] = []
    while page := await admin.list_users(org_id, found[-1].user if found else -1):
        found += page
    return found


async def org_named(admin: AccountsAdmin, name: str) -> Org:
    """Return the organization with this name or id; raises UnknownAccount."""
    for org in await all_orgs(admin):
        if name in (org.name, org.org_id):
            return org
    raise UnknownAccount(f"organization {name}; see `axon orgs list`")


async def user_named(admin: AccountsAdmin, org: Org, name: str) -> User:
    """Return the organization's user with this name; raises UnknownAccount."""
    for user in await all_users(admin, org.org_id):
        if user.name == name:
            return user
    raise UnknownAccount(f"user {name} of {org.name}; see `axon users list --org {org.name}`")
