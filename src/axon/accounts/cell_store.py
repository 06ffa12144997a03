"""The SQL of regions: whose database this is, and who is placed elsewhere."""

from collections.abc import Awaitable, Callable

import asyncpg

from axon.accounts.admin_store import next_version
from axon.accounts.errors import TooManyPlaced
from axon.accounts.homes import HOMES_MAX, Home

_CLAIM = """
INSERT INTO accounts.cell (region) VALUES ($1) ON CONFLICT (single) DO NOTHING
"""


def refusal_of_other_cells(region: str) -> Callable[[asyncpg.Connection], Awaitable[str]]:
    """Return what tells why a process of `region` must not use a database; "" when it may.

    The first process with a region makes the database its cell's, for good. One without a region
    uses no database that has one.
    """

    async def refusal(connection: asyncpg.Connection) -> str:
        try:
            if region:
                await connection.execute(_CLAIM, region)
            owner = await connection.fetchval("SELECT region FROM accounts.cell")
        except asyncpg.UndefinedTableError:
            return "this database knows no regions yet: run `axon migrate`" if region else ""
        if owner in (region, None):
            return ""
        wanted = f"of {region}" if region else "of no region: set residency.region"
        return f"this database is of the region {owner}, and this process {wanted}"

    return refusal


async def read_homes(connection: asyncpg.Connection, seen: int, rows_max: int) -> list[Home]:
    """Return the homes whose version is beyond `seen`, by their version."""
    rows = await connection.fetch(
        "SELECT org_id, user_id, region, version FROM accounts.homes WHERE version > $1"
        " ORDER BY version LIMIT $2",
        seen,
        rows_max,
    )
    return [
        Home(
            org_id=row["org_id"], user=row["user_id"], region=row["region"], version=row["version"]
        )
        for row in rows
    ]


async def write_home(connection: asyncpg.Connection, org_id: str, user: int, region: str) -> Home:
    """Write a person's home, empty for their organization's; raises TooManyPlaced.

    Raises ForeignKeyViolationError without the organization.
    """
    version = await next_version(connection)  # holds others back, so the count stays true
    held = await connection.fetchval("SELECT count(*) FROM accounts.homes")
    if held >= HOMES_MAX:
        raise TooManyPlaced(f"{HOMES_MAX:,} at most")
    await connection.execute(
        "INSERT INTO accounts.homes (org_id, user_id, region, version) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (user_id, org_id) DO UPDATE SET region = excluded.region,"
        " version = excluded.version",
        org_id,
        user,
        region,
        version,
    )
    return Home(org_id=org_id, user=user, region=region, version=version)


async def list_homes(connection: asyncpg.Connection, org_id: str) -> dict[int, str]:
    """Return the regions of an organization's people who have one of their own, by number."""
    rows = await connection.fetch(
        "SELECT user_id, region FROM accounts.homes WHERE org_id = $1 AND region <> ''"
        " ORDER BY user_id LIMIT $2",
        org_id,
        HOMES_MAX,
    )
    return {row["user_id"]: row["region"] for row in rows}
