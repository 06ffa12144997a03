"""Databases of other versions: an older one is brought forward, a newer one is refused unhurt."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from axon.app.embedded import EmbeddedPostgres, EmbeddedServer
from axon.app.migrations import migrate_all, rooms_with_migrations
from axon.app.newer_database import DatabaseNewer
from axon.conversations import ConversationsProjector
from axon.journal import JournalReader
from axon.projection import Positioned
from axon.records import TurnAccepted, decode
from axon.stores import migrate
from tests.app.golden_migrations import RECORDED, checksums
from tests.journal.golden_journal import golden_journals


@pytest.fixture
async def empty(
    embedded_postgres: EmbeddedPostgres, postgres_server: EmbeddedServer
) -> AsyncIterator[str]:
    """The address of a database without any table."""
    postgres_server.ensure()
    admin = await asyncpg.connect(embedded_postgres.url("postgres"))
    await admin.execute("CREATE DATABASE before_migrations")
    yield embedded_postgres.url("before_migrations")
    await admin.execute("DROP DATABASE before_migrations WITH (FORCE)")
    await admin.close()


async def first_version(address: str, folder: Path) -> None:
    """Bring a database to where every room had one migration."""
    connection = await asyncpg.connect(address)
    for room, migrations in rooms_with_migrations().items():
        (folder / room).mkdir()
        (first,) = migrations.glob("0001_*.sql")
        shutil.copy(first, folder / room)
        assert await migrate(connection, room, folder / room) == [first.name]
    await connection.close()


async def test_a_database_of_the_first_version_is_brought_forward_with_all_it_holds(
    empty: str, tmp_path: Path
) -> None:
    await first_version(empty, tmp_path)
    connection = await asyncpg.connect(empty)
    await connection.execute(
        "INSERT INTO conversations.conversations (user_id, id, org_id, created_us, updated_us,"
        " head_sequence, head_fence, implicit) VALUES (1, 'conv_old', 'org', 5, 6, 1, 7, false)"
    )
    await connection.execute(
        "INSERT INTO conversations.places VALUES (1, 'conv_old', 1, 7, 'resp_old', 6)"
    )
    await connection.execute(
        "INSERT INTO conversations.items VALUES"
        " (1, 'conv_old', 1, 0, 'msg_old', 'resp_old', false, 'message', 'user', 'completed', 3,"
        " 'sealed', 6)"
    )
    await migrate_all(empty)
    assert await migrate_all(empty) == {room: [] for room in rooms_with_migrations()}
    (row,) = await connection.fetch(
        "SELECT id, head_sequence, title, archived FROM conversations.conversations"
    )
    assert tuple(row) == ("conv_old", 1, None, False)
    assert await connection.fetchval("SELECT blob FROM conversations.items") == b"sealed"
    await accept_golden_turns(connection)
    assert await connection.fetchval("SELECT status FROM conversations.turns") == "in_progress"
    await connection.close()


async def accept_golden_turns(connection: asyncpg.Connection) -> None:
    """Apply what an older journal holds of accepted turns, as the projector would."""
    reader = JournalReader(golden_journals()[0])
    entries = reader.read(0, 1000, 1 << 20)
    reader.close()
    accepted = [
        Positioned(instance="golden", sequence=entry.sequence, record=record)
        for entry in entries
        if isinstance(record := decode(entry.kind, entry.payload), TurnAccepted)
    ]
    async with connection.transaction():
        await ConversationsProjector().apply(connection, accepted)


async def test_a_database_of_a_newer_version_is_refused_and_not_touched(
    empty: str, tmp_path: Path
) -> None:
    await first_version(empty, tmp_path)
    connection = await asyncpg.connect(empty)
    await connection.execute(
        "INSERT INTO axon_migrations VALUES ('conversations', 9999, ''), ('hereafter', 1, '')"
    )
    before = await connection.fetch("SELECT * FROM axon_migrations")
    with pytest.raises(DatabaseNewer, match="conversations/9999, hereafter/0001"):
        await migrate_all(empty)
    assert await connection.fetch("SELECT * FROM axon_migrations") == before
    await connection.close()


def test_no_migration_that_was_written_ever_changes() -> None:
    """A changed one would be refused by every database out there; a new one is recorded first.

    `python -m tests.app.golden_migrations` records those that are new.
    """
    assert checksums() == dict(line.split() for line in RECORDED.read_text().splitlines())
