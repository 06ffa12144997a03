"""Turns stand by month; a month that is too old goes as a whole, but for what is held."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from axon.app.backup.manifest import CONTENT
from axon.app.backup.tables import tables_of
from axon.app.migrations import rooms_with_migrations
from axon.audit import AuditProjector, Retention
from axon.base import MICROS_PER_SECOND, SystemClock
from axon.projection import Positioned
from axon.records import Record, TurnAccepted, TurnHead
from axon.stores import Postgres, migrate

ADA, BOB = 7, 8
KEPT_DAYS = 730


def at(year: int, month: int, day: int = 1, hour: int = 0) -> int:
    """Return an instant of UTC in microseconds since 1970."""
    instant = datetime(year, month, day, hour, tzinfo=UTC)
    return int(instant.timestamp()) * MICROS_PER_SECOND


def accepted(turn_id: str, at_us: int, user: int = ADA, conversation: str = "conv_1") -> Record:
    head = TurnHead(
        turn_id=turn_id,
        org_id="org_1",
        user=user,
        credential_id="key",
        conversation_id=conversation,
        sequence=1,
        fence=1,
        surface="responses",
        model="m",
        accepted_us=at_us,
        implicit=False,
        stored=True,
    )
    return TurnAccepted(
        head=head,
        request=b"sealed",
        input=[],
        streamed=False,
        background=False,
        input_tokens_reserved=0,
        output_tokens_reserved=0,
        idempotency_mac=b"",
        body_mac=b"",
        attempt=0,
        assignments=[],
    )


class SetClock(SystemClock):
    """It is always the same time."""

    def __init__(self, at_us: int) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's connection."""
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


async def project(connection: asyncpg.Connection, *records: Record) -> None:
    found = [
        Positioned(instance="a", sequence=number, record=record)
        for number, record in enumerate(records, 1)
    ]
    async with connection.transaction():
        await AuditProjector().apply(connection, found)


async def expire(postgres: Postgres, now_us: int) -> None:
    await Retention(postgres, SetClock(now_us), KEPT_DAYS).expire()


async def months(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Return the turns of each month there is."""
    names = await connection.fetch("SELECT name FROM audit.months ORDER BY since_us")
    return {
        name: [row[0] for row in await connection.fetch(f"SELECT turn_id FROM audit.{name}")]
        for (name,) in names
    }


async def hold(connection: asyncpg.Connection, user: int, conversation: str = "") -> None:
    await connection.execute(
        "INSERT INTO audit.holds (hold_id, org_id, user_id, conversation_id, reason, held_us)"
        " VALUES ($1, 'org_1', $2, $3, 'asked', 1)",
        f"hold-{user}-{conversation}", user, conversation,
    )  # fmt: skip


async def test_a_turn_stands_in_the_month_of_its_acceptance(other: asyncpg.Connection) -> None:
    """In UTC, whatever the time zone of who asks."""
    await other.execute("SET TIME ZONE 'America/New_York'")
    last = at(2026, 2, 1) - 1
    records = [accepted("jan", last), accepted("feb", last + 1), accepted("first", 0)]
    await project(other, *records)
    await project(other, *reversed(records))
    found = await months(other)
    assert found == {
        "turns_1970_01": ["first"], "turns_2026_01": ["jan"], "turns_2026_02": ["feb"]
    }  # fmt: skip
    (row,) = await other.fetch("SELECT * FROM audit.months WHERE name = 'turns_2026_01'")
    assert (row["since_us"], row["until_us"]) == (at(2026, 1), at(2026, 2))


async def test_a_month_goes_once_all_of_it_is_too_old(
    postgres: Postgres, other: asyncpg.Connection
) -> None:
    await project(other, accepted("first", at(2024, 5)), accepted("last", at(2024, 5, 31, 23)))
    over_us = at(2024, 6) + KEPT_DAYS * 86_400 * MICROS_PER_SECOND
    await expire(postgres, over_us - 1)
    assert await months(other) == {"turns_2024_05": ["first", "last"]}
    await expire(postgres, over_us)
    assert await months(other) == {}


async def test_of_an_old_month_what_is_held_stays_and_can_be_changed(
    postgres: Postgres, other: asyncpg.Connection
) -> None:
    old = at(2023, 3, 9)
    await project(
        other,
        accepted("adas", old, ADA),
        accepted("bobs", old, BOB, "conv_2"),
        accepted("bobs-other", old, BOB, "conv_3"),
        accepted("new", at(2026, 3), ADA),
    )
    await hold(other, ADA)
    await hold(other, BOB, "conv_2")
    now_us = at(2026, 4)
    for _ in range(2):  # the second time there is nothing to do
        await expire(postgres, now_us)
        held = {"turns_2023_03": ["adas", "bobs"], "turns_2026_03": ["new"]}
        assert await months(other) == held
    await project(other, accepted("adas", old, ADA))  # comes again, and is there
    assert await months(other) == held
    await other.execute("UPDATE audit.holds SET released_us = 2 WHERE user_id = $1", ADA)
    await expire(postgres, now_us)
    assert await months(other) == {"turns_2023_03": ["bobs"], "turns_2026_03": ["new"]}
    await other.execute("UPDATE audit.holds SET released_us = 2")
    await expire(postgres, now_us)
    assert await months(other) == {"turns_2026_03": ["new"]}
    await project(other, accepted("late", old))  # a journal of a node that was away
    assert await months(other) == {"turns_2023_03": ["late"], "turns_2026_03": ["new"]}


async def test_a_month_that_somebody_reads_goes_the_next_time_and_other_months_go(
    postgres: Postgres, other: asyncpg.Connection
) -> None:
    await project(other, accepted("april", at(2023, 4)), accepted("may", at(2023, 5)))
    async with other.transaction():
        await other.fetch("SELECT * FROM audit.turns_2023_04")
        await expire(postgres, at(2026, 4))
        assert await months(other) == {"turns_2023_04": ["april"]}
    await expire(postgres, at(2026, 4))
    assert await months(other) == {}


async def test_no_month_goes_under_a_backup(postgres: Postgres, other: asyncpg.Connection) -> None:
    """Which comes to the audit's tables as late as it may."""
    await project(other, accepted("april", at(2023, 4)))
    async with other.transaction(isolation="repeatable_read", readonly=True):
        tables = await tables_of(other, CONTENT)
        await expire(postgres, at(2026, 4))
        (month,) = [table for table in tables if table.since_us is not None]
        assert await other.fetchval(f"SELECT turn_id FROM {month.place}") == "april"
    await expire(postgres, at(2026, 4))
    assert await months(other) == {}


async def test_a_hold_waits_until_an_old_month_is_decided(
    postgres: Postgres, other: asyncpg.Connection
) -> None:
    """Or it would be answered as standing, and its turns gone."""
    await project(other, accepted("adas", at(2023, 4)))
    async with other.transaction():
        await hold(other, ADA)
        await expire(postgres, at(2026, 4))
    await expire(postgres, at(2026, 4))
    assert await months(other) == {"turns_2023_04": ["adas"]}


async def test_turns_of_an_older_version_are_put_into_months(
    other: asyncpg.Connection, tmp_path: Path
) -> None:
    folder = rooms_with_migrations()["audit"]
    shutil.copy(folder / "0001_audit.sql", tmp_path)
    await other.execute("DROP SCHEMA audit CASCADE")
    await other.execute("DELETE FROM axon_migrations WHERE room = 'audit'")
    await migrate(other, "audit", tmp_path)
    await other.executemany(
        "INSERT INTO audit.turns (user_id, turn_id, org_id, credential_id, conversation_id,"
        " surface, model, variant_model, safety, variants, accepted_us, request, instance)"
        " VALUES (7, $1, 'org_1', 'key', 'c', 'responses', 'm', '', '', '{a:on}', $2, 's', 'i')",
        [("one", at(2026, 1, 31)), ("two", at(2026, 2)), ("three", at(2026, 2, 5))],
    )
    before = await other.fetch("SELECT * FROM audit.turns ORDER BY turn_id")
    assert await migrate(other, "audit", folder) == ["0002_months.sql"]
    assert await other.fetch("SELECT * FROM audit.turns ORDER BY turn_id") == before
    assert await months(other) == {"turns_2026_01": ["one"], "turns_2026_02": ["two", "three"]}
