"""The copy of organizations' wrapped keys in PostgreSQL, and what all nodes are to do with keys."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from axon.sealing.kek_table import OrgErasure, WrappedKek
from axon.sealing.key_table import WrappedKey

EVERYBODY = -1
"""Stands for all people of an organization; the numbers of people are positive."""

_COLUMNS = "kek_id, region, org_id, root, root_version, wrapped, bound, created_us, wrapped_us"

_SEND = f"""
INSERT INTO sealing.keks AS there ({_COLUMNS})
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[],
    $7::boolean[], $8::bigint[], $9::bigint[]) AS mine ({_COLUMNS})
WHERE NOT EXISTS (
    SELECT FROM sealing.org_erasures AS e
    WHERE e.org_id = mine.org_id AND mine.created_us <= e.erased_us
)
ON CONFLICT (kek_id) DO UPDATE SET root = excluded.root, root_version = excluded.root_version,
    wrapped = excluded.wrapped, bound = excluded.bound, wrapped_us = excluded.wrapped_us
WHERE excluded.wrapped_us > there.wrapped_us
"""  # noqa: S608 - ours

# What an older key of its organization wraps, or the keyring itself; as in the table of a node.
_LAGGING = """
FROM sealing.data_keys AS d JOIN (
    SELECT DISTINCT ON (org_id) org_id, kek_id FROM sealing.keks WHERE region = $1
    ORDER BY org_id, created_us DESC, kek_id DESC
) AS newest ON newest.org_id = d.org_id
LEFT JOIN sealing.keks AS own ON own.kek_id = d.kek_id
WHERE ($2 = '' OR d.org_id = $2) AND coalesce(own.region, $1) = $1 AND d.kek_id <> newest.kek_id
"""


class Renewal(NamedTuple):
    """Keys made until this instant seal nothing new."""

    org_id: str
    user: int
    """EVERYBODY for all of the organization's people."""
    renewed_us: int


async def send_keks(connection: asyncpg.Connection, keks: Sequence[WrappedKek]) -> list[WrappedKek]:
    """Insert the keys that are newer than what is there; return those that already were there."""
    if not keks:
        return []
    columns = [list(column) for column in zip(*keks, strict=True)]
    rows = await connection.fetch(
        "SELECT kek_id, wrapped_us FROM sealing.keks WHERE kek_id = ANY($1::text[])", columns[0]
    )
    there: dict[str, int] = {row[0]: row[1] for row in rows}
    await connection.execute(_SEND, *columns)
    return [kek for kek in keks if there.get(kek.kek_id, -1) >= kek.wrapped_us]


async def send_org_erasures(
    connection: asyncpg.Connection, erasures: Sequence[OrgErasure]
) -> list[OrgErasure]:
    """Carry the erasures out; return those that already were."""
    if not erasures:
        return []
    columns = [list(column) for column in zip(*erasures, strict=True)]
    rows = await connection.fetch(
        "SELECT org_id, erased_us FROM sealing.org_erasures WHERE org_id = ANY($1::text[])",
        columns[0],
    )
    there: dict[str, int] = {row[0]: row[1] for row in rows}
    await connection.execute(
        "INSERT INTO sealing.org_erasures AS there"
        " SELECT * FROM unnest($1::text[], $2::bigint[]) ON CONFLICT (org_id)"
        " DO UPDATE SET erased_us = greatest(there.erased_us, excluded.erased_us)",
        *columns,
    )
    for table in ("sealing.data_keys", "sealing.keks"):
        await connection.execute(
            f"DELETE FROM {table} AS gone"  # noqa: S608 - ours
            " USING unnest($1::text[], $2::bigint[]) AS mine (org_id, erased_us)"
            " WHERE gone.org_id = mine.org_id AND gone.created_us <= mine.erased_us",
            *columns,
        )
    return [one for one in erasures if there.get(one.org_id, -1) >= one.erased_us]


async def find_kek(connection: asyncpg.Connection, kek_id: str) -> WrappedKek | None:
    """Return the key, or None when it is not there."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM sealing.keks WHERE kek_id = $1",  # noqa: S608 - ours
        kek_id,
    )
    return None if row is None else WrappedKek(*row)


async def read_keks(connection: asyncpg.Connection, since_us: int) -> list[WrappedKek]:
    """Return every key that was wrapped since an instant, on whichever node."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM sealing.keks WHERE wrapped_us >= $1",  # noqa: S608 - ours
        since_us,
    )
    return [WrappedKek(*row) for row in rows]


async def read_org_erasures(connection: asyncpg.Connection, since_us: int) -> list[OrgErasure]:
    """Return every organization whose keys were destroyed since an instant, on whichever node."""
    rows = await connection.fetch(
        "SELECT org_id, erased_us FROM sealing.org_erasures WHERE erased_us >= $1", since_us
    )
    return [OrgErasure(*row) for row in rows]


async def read_renewals(connection: asyncpg.Connection, since_us: int) -> list[Renewal]:
    """Return whose keys seal nothing new since an instant, on whichever node it was said."""
    rows = await connection.fetch(
        "SELECT org_id, user_id, renewed_us FROM sealing.renewals WHERE renewed_us >= $1", since_us
    )
    return [Renewal(*row) for row in rows]


async def add_renewal(connection: asyncpg.Connection, renewal: Renewal) -> None:
    """Have all nodes make new keys for new content."""
    await connection.execute(
        "INSERT INTO sealing.renewals AS there VALUES ($1, $2, $3) ON CONFLICT (org_id, user_id)"
        " DO UPDATE SET renewed_us = greatest(there.renewed_us, excluded.renewed_us)",
        *renewal,
    )


async def orgs_with_keys(connection: asyncpg.Connection) -> list[str]:
    """Return every organization that has keys."""
    rows = await connection.fetch(
        "SELECT org_id FROM sealing.keks UNION SELECT org_id FROM sealing.data_keys ORDER BY 1"
    )
    return [row[0] for row in rows]


async def end_of_page(connection: asyncpg.Connection, after: bytes, count_max: int) -> bytes | None:
    """Return the last of so many data keys behind `after`; None when there is none."""
    found: bytes | None = await connection.fetchval(
        "SELECT key_id FROM (SELECT key_id FROM sealing.data_keys WHERE key_id > $1"
        " ORDER BY key_id LIMIT $2) AS page ORDER BY key_id DESC LIMIT 1",
        after,
        count_max,
    )
    return found


async def read_lagging(
    connection: asyncpg.Connection, page: tuple[bytes, bytes], scope: tuple[str, str]
) -> list[WrappedKey]:
    """Return data keys that are not wrapped by their organization's newest key.

    `page` says behind which key they are, and up to which. `scope` is the region of those that the
    keyring itself has wrapped, and the organization, or '' for all.
    """
    rows = await connection.fetch(
        "SELECT d.key_id, d.org_id, d.user_id, d.kek_id, d.wrapped, d.created_us"
        f" {_LAGGING} AND d.key_id > $3 AND d.key_id <= $4",
        *scope,
        *page,
    )
    return [WrappedKey(*row) for row in rows]


async def count_lagging(connection: asyncpg.Connection, scope: tuple[str, str]) -> int:
    """Return how many data keys `read_lagging` would return in all."""
    query = f"SELECT count(*) {_LAGGING}"
    found: int = await connection.fetchval(query, *scope)
    return found


async def put_rewrapped(
    connection: asyncpg.Connection, before: Sequence[WrappedKey], after: Sequence[WrappedKey]
) -> None:
    """Put `after` in the place of `before`; a key that is gone meanwhile stays gone."""
    await connection.execute(
        "UPDATE sealing.data_keys AS there SET kek_id = mine.kek_id, wrapped = mine.wrapped"
        " FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bytea[])"
        " AS mine (key_id, old_id, kek_id, wrapped)"
        " WHERE there.key_id = mine.key_id AND there.kek_id = mine.old_id",
        [key.key_id for key in before],
        [key.kek_id for key in before],
        [key.kek_id for key in after],
        [key.wrapped for key in after],
    )


async def unfinished(connection: asyncpg.Connection, kind: str, org_id: str) -> int | None:
    """Return when a rotation began that was cut short; None when there is none."""
    found: int | None = await connection.fetchval(
        "SELECT began_us FROM sealing.rotations"
        " WHERE kind = $1 AND org_id = $2 AND ended_us IS NULL",
        kind,
        org_id,
    )
    return found


async def note_begun(connection: asyncpg.Connection, kind: str, org_id: str, now_us: int) -> None:
    """Note that a rotation has begun: until it has ended, the next one goes on with it."""
    await connection.execute(
        "INSERT INTO sealing.rotations VALUES ($1, $2, $3) ON CONFLICT (kind, org_id)"
        " DO UPDATE SET began_us = excluded.began_us, ended_us = NULL",
        kind,
        org_id,
        now_us,
    )


async def note_ended(connection: asyncpg.Connection, kind: str, org_id: str, now_us: int) -> None:
    """Note that it has come to its end."""
    await connection.execute(
        "UPDATE sealing.rotations SET ended_us = $3 WHERE kind = $1 AND org_id = $2",
        kind,
        org_id,
        now_us,
    )


class RotationNote(NamedTuple):
    """The last rotation of its kind."""

    kind: str
    org_id: str
    began_us: int
    ended_us: int | None


async def read_rotations(connection: asyncpg.Connection) -> list[RotationNote]:
    """Return the last rotation of each kind and organization, the latest first."""
    rows = await connection.fetch(
        "SELECT kind, org_id, began_us, ended_us FROM sealing.rotations ORDER BY began_us DESC"
    )
    return [RotationNote(*row) for row in rows]


async def count_by_kek(connection: asyncpg.Connection) -> dict[str, int]:
    """Return how many data keys each key of organizations, or of the keyring, has wrapped."""
    rows = await connection.fetch("SELECT kek_id, count(*) FROM sealing.data_keys GROUP BY 1")
    return {row[0]: row[1] for row in rows}
