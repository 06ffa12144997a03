"""The SQL of deeds: what is read, what waits for a journal, what comes out of one."""

import asyncpg
import msgspec

from axon.deeds.actor import Actor, actor_text, read_actor
from axon.records import AdminAction

_COLUMNS = "deed_id, org_id, at_us, actor, action, object, was, became"


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has power or configuration was changed."""

    deed_id: str
    org_id: str
    """Whose configuration it is; empty for the installation's."""
    at_us: int
    actor: Actor
    action: str
    """What was done to what, as `key.revoked`."""
    object: str
    was: str
    """As JSON; empty where there was nothing."""
    became: str


async def read_deeds(
    connection: asyncpg.Connection,
    org_id: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Deed]:
    """Return the newest deeds before an instant and id; of all organizations for None."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM deeds.deeds"  # noqa: S608 - our own text
        " WHERE ($1::text IS NULL OR org_id = $1)"
        " AND ($2::bigint IS NULL OR (at_us, deed_id) < ($2, $3))"
        " ORDER BY at_us DESC, deed_id DESC LIMIT $4",
        org_id,
        *(before or (None, "")),
        limit,
    )
    return [_deed(row) for row in rows]


async def take_waiting(connection: asyncpg.Connection, limit: int) -> list[Deed]:
    """Return the oldest that are in no journal yet, which others pass over meanwhile."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM deeds.deeds WHERE NOT journaled"  # noqa: S608 - our own text
        " ORDER BY at_us LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
    )
    return [_deed(row) for row in rows]


async def note_deed(connection: asyncpg.Connection, action: str, thing: str, became: str) -> None:
    """Write down what no trigger sees, within the transaction in which it is done.

    `became` is JSON, or empty. It is done by whomever the connection names.
    """
    await connection.execute(_NOTE, action, thing, became, actor_text(Actor(origin="database")))


_NOTE = """
INSERT INTO deeds.deeds (deed_id, org_id, at_us, actor, action, object, was, became) VALUES (
    'deed_' || replace(gen_random_uuid()::text, '-', ''), '',
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    coalesce(nullif(current_setting('axon.actor', true), ''), $4), $1, $2, '', $3
)
"""


async def mark_journaled(connection: asyncpg.Connection, deeds: list[Deed]) -> None:
    """Say that these are durable in a journal."""
    await connection.execute(
        "UPDATE deeds.deeds SET journaled = true WHERE deed_id = ANY($1::text[])",
        [one.deed_id for one in deeds],
    )


async def insert_recorded(connection: asyncpg.Connection, record: AdminAction) -> None:
    """Keep what a journal says; nothing where it is known, as it is but after a restore."""
    actor = Actor(
        origin=record.origin,  # type: ignore[arg-type]
        name=record.name,
        place=record.place,
        org_id=record.actor_org_id,
        user=record.user,
        credential_id=record.credential_id,
    )
    await connection.execute(
        f"INSERT INTO deeds.deeds ({_COLUMNS}, journaled)"  # noqa: S608 - our own text
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, true)"
        " ON CONFLICT (deed_id) DO UPDATE SET journaled = true",
        record.deed_id,
        record.org_id,
        record.at_us,
        actor_text(actor),
        record.action,
        record.object,
        record.was,
        record.became,
    )


def record_of(deed: Deed) -> AdminAction:
    """Return the record of a deed."""
    return AdminAction(
        deed_id=deed.deed_id,
        org_id=deed.org_id,
        at_us=deed.at_us,
        action=deed.action,
        object=deed.object,
        was=deed.was,
        became=deed.became,
        origin=deed.actor.origin,
        name=deed.actor.name,
        place=deed.actor.place,
        actor_org_id=deed.actor.org_id,
        user=deed.actor.user,
        credential_id=deed.actor.credential_id,
    )


def _deed(row: asyncpg.Record) -> Deed:
    return Deed(**{**row, "actor": read_actor(row["actor"])})
