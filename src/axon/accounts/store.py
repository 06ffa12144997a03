"""The SQL that reads what API keys grant, and who is placed in another region."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg

from axon.accounts.cell_store import read_homes
from axon.accounts.credential import Credential
from axon.accounts.errors import AccountsUnavailable
from axon.accounts.homes import Home
from axon.stores import Postgres, PostgresAway

QUERY_TIMEOUT_S = 1.0
"""Both queries read an index and take a millisecond; a second means PostgreSQL is not well."""

CHANGES_PAGE = 500
"""Credentials, and as many homes, taken over at once: about 3 ms of the event loop."""


class Changes(NamedTuple):
    """One page of what changed."""

    number: int
    """Number of the newest change of all."""
    credentials: list[Credential]
    """In the order of their versions."""
    homes: list[Home]
    """Likewise."""
    through: int
    """Number of the newest change that is in here with all before it; `number` when all are."""


async def read_changes(postgres: Postgres, seen: int) -> Changes:
    """Return the credentials whose version is beyond `seen`; raise AccountsUnavailable."""
    async with _connection(postgres) as connection:
        row = await connection.fetchrow("SELECT number FROM accounts.version")
        number = 0 if row is None else row["number"]  # an emptied table: nothing ever changed
        if number == seen:
            return Changes(number, [], [], number)
        rows = await connection.fetch(
            "SELECT * FROM accounts.granted WHERE version > $1 ORDER BY version LIMIT $2",
            seen,
            CHANGES_PAGE,
        )
        homes = await read_homes(connection, seen, CHANGES_PAGE)
    # Where a page is full, what comes behind it may be missing from it.
    ends = [rows[-1]["version"]] if len(rows) == CHANGES_PAGE else []
    ends += [homes[-1].version] if len(homes) == CHANGES_PAGE else []
    return Changes(number, [_credential(row) for row in rows], homes, min(ends, default=number))


async def read_credentials(postgres: Postgres, keys: Iterable[bytes | str]) -> list[Credential]:
    """Return those of the credentials with these HMACs (bytes) and ids (str) that exist.

    Raises AccountsUnavailable when PostgreSQL does not answer.
    """
    macs = [key for key in keys if isinstance(key, bytes)]
    ids = [key for key in keys if isinstance(key, str)]
    async with _connection(postgres) as connection:
        rows = await connection.fetch(
            "SELECT * FROM accounts.granted WHERE mac = ANY($1::bytea[]) OR id = ANY($2::text[])",
            macs,
            ids,
        )
    return [_credential(row) for row in rows]


@asynccontextmanager
async def _connection(postgres: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection; any error of the database means that it cannot be told, not a refusal."""
    try:
        async with postgres.connection(QUERY_TIMEOUT_S) as connection:
            yield connection
    except (PostgresAway, asyncpg.PostgresError) as error:
        raise AccountsUnavailable(str(error)) from error


def _credential(row: asyncpg.Record) -> Credential:
    return Credential(
        credential_id=row["id"],
        mac=row["mac"],
        org_id=row["org_id"],
        user=row["user_id"],
        acts_for_users=row["acts_for_users"],
        permissions=tuple(row["permissions"]),
        tier=row["tier"],
        region=row["region"],
        expires_us=row["expires_us"],
        revoked_us=row["revoked_us"],
        version=row["version"],
    )
