"""What people are told of experiments without asking: a guardrail that fired, and an end."""

from typing import Literal

import asyncpg
import msgspec

from axon.experiments.store import connected
from axon.stores import Postgres

NEWS_MAX = 500
"""Of one question, the oldest first: nobody ends as many experiments between two looks."""

# Who started it last is who wants to know; the change that ended it may have another author.
_GUARDRAILS = """
SELECT 'guardrail' AS what, k.name, k.flag, k.metric, k.why, k.asked_us AS at_us,
    coalesce((SELECT h.org_id FROM experiments.history AS h WHERE h.name = k.name
        AND h.action = 'started' ORDER BY h.version DESC LIMIT 1), '') AS org_id
FROM experiments.kills AS k WHERE k.asked_us >= $1 ORDER BY k.asked_us LIMIT $2
"""

_ENDS = """
SELECT 'stopped' AS what, name, '' AS flag, '' AS metric, why, at_us, org_id
FROM experiments.history WHERE action = 'stopped' AND at_us >= $1 ORDER BY at_us LIMIT $2
"""


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to an experiment."""

    what: Literal["guardrail", "stopped"]
    name: str
    org_id: str
    """Whose it is: who started it, or who stopped it."""
    flag: str
    """Empty for an end."""
    metric: str
    """The guardrail's; empty for an end."""
    why: str
    at_us: int


async def news(postgres: Postgres, since_us: int) -> list[News]:
    """Return what happened from the instant on; raises ExperimentsUnavailable."""
    async with connected(postgres) as connection:
        return [
            *await _read(connection, _GUARDRAILS, since_us),
            *await _read(connection, _ENDS, since_us),
        ]


async def _read(connection: asyncpg.Connection, query: str, since_us: int) -> list[News]:
    return [News(**dict(row)) for row in await connection.fetch(query, since_us, NEWS_MAX)]
