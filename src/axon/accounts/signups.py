"""How many people and organizations there are, and how many came lately: for reports."""

from dataclasses import dataclass

from axon.stores import Postgres

_TIMEOUT_S = 30.0
"""Two scans of small tables: a row for each user and organization that holds keys."""

_COUNTS = """
SELECT (SELECT count(*) FROM accounts.users WHERE created_us >= $1) AS users,
    (SELECT count(*) FROM accounts.orgs WHERE created_us >= $1) AS orgs
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signups:
    """Who was made since an instant."""

    users: int
    orgs: int


async def signups(postgres: Postgres, since_us: int) -> Signups:
    """Return how many were made from the instant on, 0 for all there are; raises PostgresAway."""
    async with postgres.connection(_TIMEOUT_S) as connection:
        [row] = await connection.fetch(_COUNTS, since_us)
    return Signups(users=row["users"], orgs=row["orgs"])
