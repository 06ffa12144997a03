"""A room with a table of its own, journals to project, and a projection that can be awaited."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from axon.base import SystemClock
from axon.journal import (
    Journal,
    JournalEnvironment,
    JournalOptions,
    SystemDisk,
    read_cursor,
)
from axon.projection import Gap, Positioned, Projection, RoomProjector
from axon.records import ItemsAppended, Record, encode
from axon.stores import Postgres

OPTIONS = JournalOptions(reserve_bytes=0, low_water_bytes=0, retention_s=0)


class LedgerRoom:
    """Writes each record down as often as it is told of it; trips over what the test says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.poison: set[str] = set()
        self.gaps: set[str] = set()
        self.outages: list[Exception] = []
        self.batches: list[int] = []

    async def create(self, database: str) -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(
            f"CREATE TABLE {self.name}"
            " (place serial, instance text, sequence bigint, conversation_id text, change text)"
        )
        await connection.close()

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        self.batches.append(len(records))
        if self.outages:
            raise self.outages.pop()
        rows = [_row(positioned) for positioned in records]
        insert = (
            f"INSERT INTO {self.name} (instance, sequence, conversation_id, change)"
            " VALUES ($1, $2, $3, $4)"
        )
        if not self.poison and not self.gaps:
            await connection.executemany(insert, rows)
            return
        for row in rows:
            await connection.execute(insert, *row)
            change_id = row[-1]
            if change_id in self.poison:
                await connection.execute("SELECT 1 / 0")
            if change_id in self.gaps:
                raise Gap(change_id)

    async def changes(self, database: str) -> list[str]:
        connection = await asyncpg.connect(database)
        rows = await connection.fetch(f"SELECT change FROM {self.name} ORDER BY place")
        await connection.close()
        return [row["change"] for row in rows]


def _row(positioned: Positioned) -> tuple[str, int, str, str]:
    record = positioned.record
    assert isinstance(record, ItemsAppended)
    return positioned.instance, positioned.sequence, record.conversation_id, record.change_id


def change(change_id: str, conversation_id: str = "") -> ItemsAppended:
    return ItemsAppended(
        change_id=change_id,
        org_id="org_1",
        user=1,
        credential_id="key_1",
        conversation_id=conversation_id,
        sequence=1,
        fence=0,
        at_us=0,
        items=[],
    )


@dataclass
class Scene:
    """Everything a test of the projection needs."""

    database: str
    root: Path
    rooms: Sequence[RoomProjector]
    before: list[int] = field(default_factory=list)

    def open_journal(self, instance: str) -> Journal:
        environment = JournalEnvironment(disk=SystemDisk(), clock=SystemClock(), on_fatal=print)
        return Journal.open(self.root / instance, instance, OPTIONS, environment)

    async def write(self, instance: str, records: Sequence[Record]) -> int:
        """Append the records, close the journal, return its last sequence."""
        journal = self.open_journal(instance)
        await asyncio.gather(*(journal.append(*encode(record)) for record in records))
        end = journal.durable_through
        await journal.close()
        return end

    def projection(self, postgres: Postgres) -> Projection:
        return Projection(
            postgres, self.root, self.rooms, SystemClock(), before_batch=self._before_batch
        )

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[Projection]:
        """Run a projection in the background until the block ends."""
        postgres = Postgres(self.database)
        await postgres.start()
        projection = self.projection(postgres)
        stop = asyncio.Event()
        running = asyncio.get_running_loop().create_task(projection.run(stop))
        try:
            yield projection
        finally:
            stop.set()
            await asyncio.wait_for(running, 20)
            await postgres.stop()

    async def _before_batch(self, connection: asyncpg.Connection) -> None:
        self.before.append(await connection.fetchval("SELECT 1"))

    async def projected(self, instance: str, sequence: int) -> None:
        """Return when the journal's cursor has come so far."""
        await eventually(lambda: read_cursor(self.root / instance) >= sequence)

    async def project(self, instance: str, sequence: int) -> None:
        """Project until the journal's cursor has come so far, then stop."""
        async with self.projecting():
            await self.projected(instance, sequence)

    async def parked(self) -> list[tuple[str, str, int, str]]:
        """Return (room, instance, sequence, state) of all that is parked, in order."""
        connection = await asyncpg.connect(self.database)
        rows = await connection.fetch("SELECT * FROM projection.parked ORDER BY place")
        await connection.close()
        return [(row["room"], row["instance"], row["sequence"], row["state"]) for row in rows]


async def eventually(holds: Callable[[], bool]) -> None:
    """Return when it holds; another thread or process makes it so."""
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)
