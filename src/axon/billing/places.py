"""Which turns an invoice holds, said by places in the journals alone.

A turn is in PostgreSQL together with the cursor of its journal, in one transaction. So what a close
had before it is exactly what was projected through some cursors, but for the records that were
parked then. The SQL here reads what `projection` keeps and changes nothing.
"""

from dataclasses import dataclass
from typing import Any

import asyncpg

_PARKED = "SELECT instance, sequence FROM projection.parked WHERE room = 'metering'"

_CLOSED = "SELECT instance, sequence FROM billing.closed_places WHERE close_id = $1"
_LEFT_OUT = "SELECT instance, sequence FROM billing.left_out WHERE close_id = $1"


@dataclass(frozen=True, slots=True)
class Places:
    """How far the journals are projected, and which of their records are not in."""

    through: dict[str, int]
    left_out: tuple[tuple[str, int], ...]

    def parameters(self) -> list[Any]:
        """Return the four arrays that `held` and `JOIN` name."""
        return [
            list(self.through),
            list(self.through.values()),
            [instance for instance, _ in self.left_out],
            [sequence for _, sequence in self.left_out],
        ]


NOWHERE = Places({}, ())
"""Holds no turn."""


def joined(name: str, first: int) -> str:
    """Return the JOIN that `held` wants; the arrays are parameters from number `first` on."""
    return (
        f"LEFT JOIN unnest(${first}::text[], ${first + 1}::bigint[])"
        f" AS {name} (instance, sequence) ON {name}.instance = t.instance"
    )


def held(name: str, first: int) -> str:
    """Return the condition that the places hold turn `t`; never NULL."""
    return (
        f"(t.sequence <= coalesce({name}.sequence, -1) AND (t.instance, t.sequence) NOT IN"  # noqa: S608 - names of ours alone
        f" (SELECT * FROM unnest(${first + 2}::text[], ${first + 3}::bigint[])))"
    )


async def places_now(connection: asyncpg.Connection) -> Places:
    """Return what the open transaction sees."""
    cursors = await connection.fetch("SELECT instance, sequence FROM projection.cursors")
    return _places(cursors, await connection.fetch(_PARKED))


async def places_of(connection: asyncpg.Connection, close_id: str) -> Places:
    """Return what a close had before it."""
    cursors = await connection.fetch(_CLOSED, close_id)
    return _places(cursors, await connection.fetch(_LEFT_OUT, close_id))


async def keep_places(connection: asyncpg.Connection, close_id: str, places: Places) -> None:
    """Write down what a close has before it."""
    parameters = places.parameters()
    for table, arrays in (("closed_places", parameters[:2]), ("left_out", parameters[2:])):
        await connection.execute(
            f"INSERT INTO billing.{table} SELECT $1, * FROM unnest($2::text[], $3::bigint[])",  # noqa: S608 - names of ours alone
            close_id,
            *arrays,
        )


def _places(cursors: list[asyncpg.Record], left_out: list[asyncpg.Record]) -> Places:
    return Places(
        {row["instance"]: row["sequence"] for row in cursors},
        tuple(sorted((row["instance"], row["sequence"]) for row in left_out)),
    )
