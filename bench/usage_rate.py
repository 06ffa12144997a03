"""How many turns a second become sums: by metering alone, and by the whole projector."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from axon.app.embedded import EmbeddedServer
from axon.base import SystemClock, TaskOwner
from axon.conversations import ConversationsProjector
from axon.journal import Journal, JournalEnvironment, JournalOptions, SystemDisk, read_cursor
from axon.limits import LimitsProjector
from axon.metering import MeteringProjector
from axon.projection import Positioned, Projection, RoomProjector
from axon.projection.following import BATCH_ENTRIES_MAX
from axon.records import Charge, SealedItem, TokenUsage, TurnCompleted, TurnHead, encode
from axon.stores import Postgres, PostgresOptions
from bench.cores import family_seconds
from bench.usage_fill import BUSY, PEOPLE_OF_OTHERS, Shape

_BEGINS_US = 1_790_900_000_000_000
"""In October: the first turns of a month, whose sums by month are all new rows."""

_APART_US = 66
"""Between two turns: fifteen thousand a second."""

_QUESTION_BYTES, _ANSWER_BYTES = 300, 1024
_TURNS_OF_CONVERSATION = 4
_APPENDED_AT_ONCE = 1000
_LOOK_S = 0.005


@dataclass(slots=True)
class Timed:
    """A room's projector, and how long it took."""

    room: RoomProjector
    seconds: float = 0.0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        """Be known under the room's name."""
        self.name = self.room.name

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Let the room apply the records."""
        begins = time.perf_counter()
        await self.room.apply(connection, records)
        self.seconds += time.perf_counter() - begins


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many turns became sums."""

    turns_per_s: float
    turns_per_cpu_s: float
    """Of projector and PostgreSQL together: what a core bears that has nothing else to do."""
    seconds_by_room: dict[str, float]
    """Of a million turns; what is missing is reading, decoding and the cursor."""


def turns(count: int, shape: Shape, prefix: str) -> list[TurnCompleted]:
    """Return records of turns in conversations, half of them of the busy organization."""
    draw = random.Random(1)
    return [_turn(draw, number, shape, prefix) for number in range(count)]


def _turn(draw: random.Random, number: int, shape: Shape, prefix: str) -> TurnCompleted:
    conversation, place = divmod(number, _TURNS_OF_CONVERSATION)
    who = random.Random(f"{prefix}{conversation}")  # a conversation is of one person
    if who.random() < 0.5:
        org_id, person, keys = BUSY, who.randrange(1, shape.people + 1), shape.keys
        user = person
    else:
        org, person = who.randrange(shape.others), who.randrange(1, PEOPLE_OF_OTHERS + 1)
        org_id, keys = f"org_{org}", shape.keys
        user = person + 1_000_000 * (org + 1)
    turn_id = f"chatcmpl_{prefix}{number:09d}"
    accepted_us = _BEGINS_US + number * _APART_US
    return TurnCompleted(
        head=TurnHead(
            turn_id=turn_id,
            org_id=org_id,
            user=user,
            credential_id=f"key_{person % keys}",
            conversation_id=f"conv_{prefix}{conversation:09d}",
            sequence=place + 1,
            fence=place + 1,
            surface="chat",
            model=f"model-{(person + draw.randrange(4)) % shape.models}",
            accepted_us=accepted_us,
            implicit=True,
            stored=False,
        ),
        input=[_item(draw, turn_id, "user", _QUESTION_BYTES)],
        output=[_item(draw, turn_id, "assistant", _ANSWER_BYTES)],
        answer=b"",
        status="completed",
        usage=TokenUsage(input_tokens=draw.randrange(4000), output_tokens=draw.randrange(900)),
        upstream="engine",
        upstream_id="",
        completed_us=accepted_us + 1,
        first_token_us=0,
        assignments=[],
        charge=Charge("price_1", "USD", 1000 + draw.randrange(10**6)),
    )


def _item(draw: random.Random, turn_id: str, author: str, size: int) -> SealedItem:
    return SealedItem(f"msg_{author}_{turn_id}", "message", author, size // 4, draw.randbytes(size))


async def metering_rate(server: EmbeddedServer, nodes: Sequence[Sequence[TurnCompleted]]) -> Rate:
    """Apply the records of each node as its projector does, committed batch by batch."""
    journals = [
        [
            Positioned(instance=f"bench-{node}", sequence=number + 1, record=record)
            for number, record in enumerate(records)
        ]
        for node, records in enumerate(nodes)
    ]
    connections = [await asyncpg.connect(server.url) for _ in nodes]
    begins, used = time.perf_counter(), family_seconds(server.pid)
    await asyncio.gather(*map(_project, connections, journals))
    took, used = time.perf_counter() - begins, family_seconds(server.pid) - used
    for connection in connections:
        await connection.close()
    count = sum(map(len, nodes))
    return Rate(turns_per_s=count / took, turns_per_cpu_s=count / used, seconds_by_room={})


async def _project(connection: asyncpg.Connection, journal: Sequence[Positioned]) -> None:
    projector = MeteringProjector()
    for first in range(0, len(journal), BATCH_ENTRIES_MAX):
        async with connection.transaction():
            await projector.apply(connection, list(journal[first : first + BATCH_ENTRIES_MAX]))


async def projector_rate(
    server: EmbeddedServer, root: Path, records: Sequence[TurnCompleted]
) -> Rate:
    """Write a journal of the records and project it, every room's part; `root` is for journals."""
    end = await _write(root / "bench", records)
    rooms = [Timed(ConversationsProjector()), Timed(MeteringProjector()), Timed(LimitsProjector())]
    postgres = Postgres(server.url, PostgresOptions(connections_max=2), SystemClock())
    await postgres.start()
    projection = Projection(postgres, root, rooms, SystemClock(), before_batch=_nothing)
    stop = asyncio.Event()
    owner = TaskOwner(_failed)
    begins, used = time.perf_counter(), family_seconds(server.pid)
    running = owner.start(projection.run(stop), "project the bench's journal")
    while read_cursor(root / "bench") < end and not running.done():
        await asyncio.sleep(_LOOK_S)
    took, used = time.perf_counter() - begins, family_seconds(server.pid) - used
    stop.set()
    await running
    await postgres.stop()
    count = len(records)
    return Rate(
        turns_per_s=count / took,
        turns_per_cpu_s=count / used,
        seconds_by_room={room.name: room.seconds * 1_000_000 / count for room in rooms},
    )


async def _write(directory: Path, records: Sequence[TurnCompleted]) -> int:
    """Return the last sequence of a new journal of the records."""
    environment = JournalEnvironment(disk=SystemDisk(), clock=SystemClock(), on_fatal=_fatal)
    journal = Journal.open(directory, "bench", JournalOptions(low_water_bytes=0), environment)
    for first in range(0, len(records), _APPENDED_AT_ONCE):
        part = records[first : first + _APPENDED_AT_ONCE]
        await asyncio.gather(*(journal.append(*encode(record)) for record in part))
    end = journal.durable_through
    await journal.close()
    return end


async def _nothing(_connection: asyncpg.Connection) -> None:
    """Upload no keys: what is sealed here is never opened."""


def _failed(name: str, error: BaseException) -> None:
    raise RuntimeError(name) from error


def _fatal(error: BaseException) -> None:
    raise RuntimeError("the journal cannot be written") from error
