"""axon keyring rotate and destroy: new keys while Axon runs, and none ever again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from axon.accounts import Org
from axon.app.administration import accounts_admin
from axon.app.backup import KEYS_LIVE_US, Place, database_in_use
from axon.app.cli.asking import org_named
from axon.app.cli.command import ExampleCommand, config_option, data_option, settings_from
from axon.app.cli.tables import day
from axon.audit import refuse_any_held
from axon.base import user_number
from axon.sealing import KeyStore, Rotated, Rotation

_Told = Callable[[str, int, int], None]
_Result = TypeVar("_Result")


@click.command(
    "rotate",
    cls=ExampleCommand,
    examples=[
        "axon keyring rotate --kek                        # new keys of all organizations",
        "axon keyring rotate --kek --org acme             # of one",
        "axon keyring rotate --dek --org acme             # new keys for what its people will say",
        "axon keyring rotate --dek --org acme --user ada",
        "axon keyring rotate --root                       # a new version of what wraps them all",
        "axon keyring rotate --root --no-new-version      # after keys.root was changed",
    ],
)
@click.option("--kek", "what", flag_value="kek", help="Give organizations new keys.")
@click.option("--dek", "what", flag_value="dek", help="Give people new keys for new content.")
@click.option("--root", "what", flag_value="root", help="Wrap organizations' keys anew.")
@click.option("--org", help="Of this organization alone: its name or id.")
@click.option("--user", help="With --dek: of this person of the organization alone.")
@click.option(
    "--no-new-version", is_flag=True, help="With --root: use the version there is. Make none."
)
@data_option
@config_option
def rotate(
    what: str | None, org: str | None, user: str | None, data: str | None, **rest: object
) -> None:
    """Rotate keys while Axon runs; nothing becomes unreadable.

    A rotation that was cut short is brought to its end by the same command. Keys of organizations
    wrap those of their people, which are wrapped anew, here and in PostgreSQL; other nodes follow
    within seconds. What people's keys have sealed stays sealed by them: a new one is for new
    content.
    """
    _refuse_wrong(what, org, user, bool(rest["no_new_version"]))
    config = rest["config"] if isinstance(rest["config"], Path) else None
    with database_in_use(settings_from(config, {"AXON_DATA": data})) as place, _bar() as told:
        if what == "dek":
            count = asyncio.run(_renewed(place, org or "", user, told))
            _say(f"{count:,} keys of this node seal nothing new; who comes next gets a new one")
        elif what == "kek":
            _tell(asyncio.run(_keks(place, org, told)), "made")
        else:
            new_version = not rest["no_new_version"]
            done = asyncio.run(_with_keys(place, told, lambda keys: keys.rotate_root(new_version)))
            _tell(done, "wrapped anew")
            if place.settings.keys.root == "local" and new_version:
                _say("the keyring has changed: axon keyring backup FILE, and copy it to all nodes")


@click.command(
    "destroy",
    cls=ExampleCommand,
    examples=["axon keyring destroy --org acme", "axon keyring destroy --org acme --yes"],
)
@click.option("--org", required=True, help="The organization's name or id.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
@config_option
def destroy(org: str, yes: bool, data: str | None, config: Path | None) -> None:
    """Destroy the keys of an organization and all its people, for ever.

    Nothing that any of them said can be read again, in no store, journal or backup of the content.
    Its account stays, and who comes back begins anew. Refused while a legal hold is in force.
    """
    with database_in_use(settings_from(config, {"AXON_DATA": data})) as place:
        found = asyncio.run(_org(place, org))
        if not yes:
            click.confirm(f"Make all that {found.name} has said unreadable for ever?", abort=True)
        count = asyncio.run(_destroyed(place, found.org_id))
        _say(f"{count:,} keys of people of {found.name} are destroyed; other nodes follow")
        _say(f"backups of keys made before end by {day(place.clock.now_us() + KEYS_LIVE_US)}")


def _refuse_wrong(what: str | None, org: str | None, user: str | None, no_new: bool) -> None:
    if what is None:
        raise click.UsageError("say what: --kek, --dek or --root")
    if what == "root" and org:
        raise click.UsageError("--root is of all organizations")
    if what == "dek" and not org:
        raise click.UsageError("--dek wants an organization: --org")
    if user and what != "dek":
        raise click.UsageError("--user goes with --dek")
    if no_new and what != "root":
        raise click.UsageError("--no-new-version goes with --root")


async def _keks(place: Place, org: str | None, told: _Told) -> Rotated:
    org_id = (await _org(place, org)).org_id if org else ""
    return await _with_keys(place, told, lambda keys: keys.rotate_keks(org_id))


async def _renewed(place: Place, org: str, user: str | None, told: _Told) -> int:
    org_id = (await _org(place, org)).org_id
    number = user_number(place.keyring().identity, org_id, user) if user else None
    return await _with_keys(place, told, lambda keys: keys.rotate_data_keys(org_id, number))


async def _destroyed(place: Place, org_id: str) -> int:
    store: KeyStore = place.key_store()
    try:
        async with place.connection() as connection:
            await refuse_any_held(connection, org_id)
            destroyed = await store.destroy(org_id)
            await store.upload_rest(connection)
            return destroyed
    finally:
        await store.close()


async def _with_keys(
    place: Place, told: _Told, work: Callable[[Rotation], Awaitable[_Result]]
) -> _Result:
    store = place.key_store()
    try:
        async with place.connection() as connection:
            return await work(Rotation(store, connection, place.clock, told))
    finally:
        await store.close()


async def _org(place: Place, name: str) -> Org:
    async with accounts_admin(place.folder.keyring, place.database_url) as admin:
        return await org_named(admin, name)


def _tell(done: Rotated, what: str) -> None:
    resumed = " (one that was cut short is at its end)" if done.resumed else ""
    _say(f"{done.keks:,} keys of organizations {what}{resumed}")
    if done.data_keys:
        _say(f"{done.data_keys:,} times a person's key was wrapped anew, here and in PostgreSQL")
    if done.left:
        Console().print(f"[red]✗[/] {done.left:,} keys cannot be opened, and stay as they are")


def _say(text: str) -> None:
    Console().print(f"[green]✓[/] {escape(text)}", highlight=False, soft_wrap=True)


@contextmanager
def _bar() -> Iterator[_Told]:
    """Show how far it is to a person; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total or None
        )
