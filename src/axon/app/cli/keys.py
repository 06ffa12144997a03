"""axon keys: API keys, whose secret is shown once."""

import re

import click
import msgspec
from rich.console import Console

from axon.accounts import AccountsAdmin, CreatedKey, Key, NewKey
from axon.app.cli.asking import (
    Asked,
    all_users,
    for_accounts,
    org_named,
    org_option,
    user_named,
)
from axon.app.cli.command import ExampleGroup
from axon.app.cli.tables import NEVER, day, show
from axon.base import MICROS_PER_SECOND, SystemClock

_DAY_S = 86_400
_UNIT_S = {"m": 60, "h": 3600, "d": _DAY_S, "y": 365 * _DAY_S}


class Lifetime(click.ParamType[int]):
    """A duration like 90d, as seconds; 0 for never."""

    name = "lifetime"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the seconds; fails with the forms that are understood."""
        if value == NEVER:
            return 0
        match = re.fullmatch(r"(\d{1,6})([mhdy])", str(value))
        if match is None:
            self.fail(f"{value!r} is not a lifetime like 30m, 12h, 90d, 1y or never", param, ctx)
        return int(match[1]) * _UNIT_S[match[2]]


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon keys create --name laptop",
        "axon keys list --org acme",
        "axon keys revoke key_0193...",
    ],
)
def keys() -> None:
    """API keys: made, listed and revoked."""


@keys.command(
    "create",
    examples=[
        "axon keys create --name laptop",
        "axon keys create --org acme --user ada --name ci --expires 90d",
        "axon keys create --org acme --user backend --name chat --acts-for-users",
    ],
)
@org_option
@click.option("--user", default="developer", show_default=True, help="Whose key it is.")
@click.option("--name", required=True, help="What it is for.")
@click.option(
    "--expires",
    type=Lifetime(),
    help="When it ends: 30m, 12h, 90d, 1y, never. Else as `accounts.key_lifetime_days` says.",
)
@click.option("--acts-for-users", is_flag=True, help="It may name the person it acts for.")
@for_accounts
def create_key(asked: Asked, org: str, user: str, name: str, **limits: int | bool | None) -> None:
    """Make an API key and show its secret, this one time."""

    async def work(admin: AccountsAdmin) -> CreatedKey:
        owner = await org_named(admin, org)
        holder = await user_named(admin, owner, user)
        lifetime_s = limits["expires"]
        if lifetime_s is None:
            lifetime_s = asked.settings.accounts.key_lifetime_days * _DAY_S
        ends_us = SystemClock().now_us() + lifetime_s * MICROS_PER_SECOND if lifetime_s else 0
        return await admin.create_key(
            NewKey(
                org_id=owner.org_id,
                user=holder.user,
                name=name,
                expires_us=ends_us,
                acts_for_users=bool(limits["acts_for_users"]),
            )
        )

    created = asked.run(work)
    if asked.as_json:
        click.echo(msgspec.json.encode(created))
        return
    click.echo(created.secret)
    ends = created.key.expires_us
    until = f"ends {day(ends)}" if ends else "never ends by itself"
    note = f"[dim]{created.key.credential_id}, {until}. The secret is not kept: copy it now."
    Console(stderr=True).print(note, soft_wrap=True)


@keys.command("list", examples=["axon keys list", "axon keys list --org acme --json"])
@org_option
@for_accounts
def list_keys(asked: Asked, org: str) -> None:
    """List an organization's keys, revoked and expired ones among them."""

    async def work(admin: AccountsAdmin) -> tuple[list[Key], dict[int, str]]:
        owner = await org_named(admin, org)
        found: list[Key] = []
        while page := await admin.list_keys(owner.org_id, found[-1].credential_id if found else ""):
            found += page
        return found, {user.user: user.name for user in await all_users(admin, owner.org_id)}

    found, names = asked.run(work)
    _show(found, names, asked.as_json)


@keys.command("revoke", examples=["axon keys revoke key_0193...", "axon keys list"])
@click.argument("key_id")
@for_accounts
def revoke_key(asked: Asked, key_id: str) -> None:
    """Revoke a key; every process refuses it within a second."""
    _show([asked.run(lambda admin: admin.revoke_key(key_id))], {}, asked.as_json)


def _show(found: list[Key], names: dict[int, str], as_json: bool) -> None:
    columns = {
        "Name": [key.name for key in found],
        "User": [names.get(key.user, "") for key in found],
        "Secret": [f"sk-axon-…{key.hint}" for key in found],
        "Acts for users": ["yes" if key.acts_for_users else "" for key in found],
        "Created": [day(key.created_us) for key in found],
        "Expires": [_end(key) for key in found],
        "Revoked": [day(key.revoked_us) if key.revoked_us else "" for key in found],
        "Id": [key.credential_id for key in found],
    }
    show(found, columns, as_json)


def _end(key: Key) -> str:
    over = 0 < key.expires_us <= SystemClock().now_us()
    return f"{day(key.expires_us)} (over)" if over else day(key.expires_us)
