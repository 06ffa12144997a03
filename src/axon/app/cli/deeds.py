"""axon audit changes: who changed what has power or configuration, of every organization."""

import asyncio

import click

from axon.app.administration import command_options, database_address
from axon.app.cli.asking import Asked, for_accounts, org_named
from axon.app.cli.command import ExampleCommand
from axon.app.cli.tables import day, show
from axon.base import SystemClock
from axon.deeds import Actor, Deed, read_deeds
from axon.stores import Postgres

_TIMEOUT_S = 60.0
_LISTED_MAX = 10_000
"""Rows of one answer, which is made in memory."""


@click.command(
    "changes",
    cls=ExampleCommand,
    examples=["axon audit changes", "axon audit changes --org acme --limit 500 --json"],
)
@click.option("--org", default="", help="Of this organization, by name or id; else of all.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, _LISTED_MAX), help="How many."
)
@for_accounts
def changes(asked: Asked, org: str, limit: int) -> None:
    """List who changed keys, users, limits, prices, webhooks, invoices and more, the newest first.

    Reads PostgreSQL itself, for whoever has the machine; `axon audit log` asks a running Axon for
    what an auditor of one organization may see. Each is also a record in a journal.
    """
    org_id = asked.run(lambda admin: org_named(admin, org)).org_id if org else None
    found = asyncio.run(_read(database_address(asked.settings), org_id, limit))
    columns = {
        "At": [day(one.at_us) for one in found],
        "Who": [_who(one.actor) for one in found],
        "Did": [one.action for one in found],
        "What": [one.object for one in found],
        "Organization": [one.org_id for one in found],
        "Before": [one.was for one in found],
        "After": [one.became for one in found],
    }
    show(found, columns, asked.as_json)


async def _read(database_url: str, org_id: str | None, limit: int) -> list[Deed]:
    postgres = Postgres(database_url, command_options(), SystemClock())
    await postgres.start()
    try:
        async with postgres.connection(_TIMEOUT_S) as connection:
            return await read_deeds(connection, org_id, None, limit)
    finally:
        await postgres.stop()


def _who(actor: Actor) -> str:
    """Return who it was, and from where, in a few words."""
    whom = actor.credential_id or actor.name or actor.origin
    return f"{whom} ({actor.place})" if actor.place else whom
