"""Putting a backup's rows back, each table with one COPY, within the open transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from operator import attrgetter

import asyncpg

from axon.app.backup.archive import Member
from axon.app.backup.making import COPY_TIMEOUT_S
from axon.app.backup.manifest import TableCopy
from axon.app.backup.verifying import Progress, Verified, skip_header
from axon.sealing import TakenIn, open_incoming, take_in

_INCOMING = {
    "sealing.erasures": "incoming_erasures",
    "sealing.org_erasures": "incoming_org_erasures",
    "sealing.keks": "incoming_keks",
    "sealing.data_keys": "incoming_data_keys",
}
"""Rows that join what is there instead of replacing it: see axon.sealing.take_in."""


async def load(connection: asyncpg.Connection, backup: Verified, progress: Progress) -> TakenIn:
    """Replace the rows of the backup's tables with its own; return what became of its keys.

    Tombstones and keys are added to those that are there.
    """
    tables = backup.manifest.tables
    for table in tables:
        if table.since_us is not None:
            await connection.execute("SELECT audit.add_month($1)", table.since_us)
    replaced = [table for table in tables if table.place not in _INCOMING]
    if replaced:
        names = ", ".join(f'"{table.schema}"."{table.name}"' for table in replaced)
        await connection.execute(f"TRUNCATE {names}")
    await open_incoming(connection)
    total = sum(table.bytes for table in tables)
    done = 0
    with backup.path.open("rb") as file:
        pieces = groupby(skip_header(file), key=attrgetter("table"))
        for table in tables:
            progress(table.place, done, total)
            _, group = next(pieces)
            await _load_table(connection, table, group)
            done += table.bytes
    progress("all tables", total, total)
    for place, last in backup.manifest.sequences.items():
        await connection.execute("SELECT setval($1::text::regclass, $2)", place, last)
    return await take_in(connection)


async def _load_table(
    connection: asyncpg.Connection, table: TableCopy, pieces: Iterator[Member]
) -> None:
    """Copy a table's rows; triggers that keep what was issued from being changed see none."""
    incoming = _INCOMING.get(table.place)
    name = f'"{table.schema}"."{table.name}"'
    if not incoming:
        await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
    await connection.copy_to_table(
        incoming or table.name,
        schema_name=None if incoming else table.schema,
        columns=table.columns,
        source=_data(pieces),
        format="binary",
        timeout=COPY_TIMEOUT_S,
    )
    if not incoming:
        await connection.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")


async def _data(pieces: Iterator[Member]) -> AsyncIterator[bytes]:
    """Yield the pieces' bytes; reading and decompressing are a thread's."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece.data
