"""How a conversation stands in PostgreSQL: its state, its lease, and what could not be projected.

One statement, because a turn waits for it while Valkey is away, and each statement is a round trip.
"""

from typing import NamedTuple

import asyncpg

from axon.conversations.lease_store import LEASE_COLUMNS, LeaseRow, lease_row
from axon.conversations.store import STATE_COLUMNS, StateRow, state_row

# The projection sets aside what it could not apply; the journal's tail forgets it all the same.
_STANDING = f"""
SELECT state.*, lease.*, EXISTS (
    SELECT FROM projection.parked WHERE room = 'conversations' AND conversation_id = $2
) AS parked
FROM (SELECT) AS always
LEFT JOIN (
    SELECT {STATE_COLUMNS} FROM conversations.conversations WHERE user_id = $1 AND id = $2
) AS state ON true
LEFT JOIN (
    SELECT {LEASE_COLUMNS} FROM conversations.leases WHERE user_id = $1 AND conversation_id = $2
) AS lease ON true
"""  # noqa: S608 - constants


class Standing(NamedTuple):
    """What PostgreSQL says of a conversation at one moment."""

    state: StateRow | None
    """As projected, also of a deleted one; None when there is none."""
    lease: LeaseRow | None
    parked: bool
    """Whether a record of the conversation waits outside the tables."""


async def read_standing(connection: asyncpg.Connection, place: tuple[int, str]) -> Standing:
    """Return how the conversation (user, id) stands."""
    (row,) = await connection.fetch(_STANDING, *place)
    return Standing(
        state=None if row["created_us"] is None else state_row(row),
        lease=None if row["holder"] is None else lease_row(row),
        parked=row["parked"],
    )
