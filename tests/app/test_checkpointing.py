"""The heads of journals are signed while they grow, and what was signed is held against them."""

import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from axon.app.roles.checkpointing import RECORDS_BETWEEN, SECONDS_BETWEEN, Checkpointing
from axon.audit import Signer, Verdict, read_checkpoints, verify_journal
from axon.base import SystemClock, SystemRandomness
from axon.journal import Journal, JournalEnvironment, JournalOptions, SystemDisk
from axon.sealing import Keyring
from axon.stores import Postgres
from axon.telemetry import configure_log, log

NAME = "0123456789ab-serving"


class MovedClock(SystemClock):
    """Goes on by itself, and further when it is told to."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now_us(self) -> int:
        return super().now_us() + int(self.ahead_s * 1_000_000)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    options = JournalOptions(reserve_bytes=0, low_water_bytes=0)
    environment = JournalEnvironment(
        disk=SystemDisk(), clock=SystemClock(), on_fatal=lambda _: None
    )
    opened = Journal.open(tmp_path / "journals" / NAME, NAME, options, environment)
    yield opened
    await opened.close()


async def append(journal: Journal, count: int) -> None:
    for waiting in [journal.append(3, b"sealed words") for _ in range(count)]:
        await waiting


async def judged(
    postgres: Postgres, journal: Journal, signer: Signer, since_us: int = 0
) -> Verdict:
    async with postgres.connection(10.0) as connection:
        checkpoints = await read_checkpoints(connection, NAME)
    return verify_journal(
        journal.directory, checkpoints, signer.public_key, since_us, lambda done, total: None
    )


async def test_each_thousandth_record_is_signed_and_the_last_one_after_a_minute(
    postgres: Postgres, journal: Journal, keyring: Keyring
) -> None:
    clock, signer = MovedClock(), Signer(keyring)
    signing = Checkpointing(journal.directory.parent, postgres, signer, clock)
    await append(journal, 2 * RECORDS_BETWEEN + 5)
    await signing.sign_news()
    verdict = await judged(postgres, journal, signer)
    assert (verdict.checkpoints, verdict.signed_through) == (2, 2 * RECORDS_BETWEEN)
    clock.ahead_s = SECONDS_BETWEEN + 1
    await signing.sign_news()
    await signing.sign_news()
    verdict = await judged(postgres, journal, signer)
    assert (verdict.checkpoints, verdict.signed_through) == (3, 2 * RECORDS_BETWEEN + 5)
    assert verdict.findings == [] and verdict.entries == 2 * RECORDS_BETWEEN + 5
    await append(journal, 1)
    fresh = Checkpointing(journal.directory.parent, postgres, signer, clock)  # after a restart
    await fresh.sign_news(at_once=True)
    verdict = await judged(postgres, journal, signer)
    assert (verdict.checkpoints, verdict.findings) == (4, [])


async def test_what_is_done_to_journal_or_checkpoints_is_found(
    postgres: Postgres, journal: Journal, keyring: Keyring, database: str, tmp_path: Path
) -> None:
    signer = Signer(keyring)
    signing = Checkpointing(journal.directory.parent, postgres, signer, SystemClock())
    for _ in range(3):
        await append(journal, 10)
        await signing.sign_news(at_once=True)
    assert (await judged(postgres, journal, signer)).findings == []
    other = Signer(Keyring.open(tmp_path / "other.json", SystemRandomness()))
    assert len((await judged(postgres, journal, other)).findings) == 3, "somebody else's key"
    connection = await asyncpg.connect(database)
    try:
        for statement, finding in (
            ("UPDATE audit.checkpoints SET at_us = 1 WHERE number = 2", "is not signed"),
            ("UPDATE audit.checkpoints SET instance = 'x' WHERE number = 2", "3 follows 1"),
            ("DELETE FROM audit.checkpoints WHERE number = 1", "before 2 are gone"),
        ):
            async with connection.transaction():
                await connection.execute(statement)
                checkpoints = await read_checkpoints(connection, NAME)
                verdict = verify_journal(
                    journal.directory, checkpoints, signer.public_key, 0, lambda done, total: None
                )
                assert finding in str(verdict.findings), statement
                await connection.execute("ROLLBACK AND CHAIN")
    finally:
        await connection.close()
    (segment,) = journal.directory.glob("*.segment")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-60])
    assert "is cut short" in str((await judged(postgres, journal, signer)).findings)
    segment.write_bytes(whole)
    segment.rename(segment.with_name("00000000000000000031.segment"))
    assert (await judged(postgres, journal, signer)).findings != []


@pytest.mark.failure("journal-disk", "corrupt")
async def test_a_broken_chain_is_said_and_signed_no_further(
    postgres: Postgres, journal: Journal, keyring: Keyring
) -> None:
    signer = Signer(keyring)
    signing = Checkpointing(journal.directory.parent, postgres, signer, SystemClock())
    await append(journal, 10)
    (segment,) = journal.directory.glob("*.segment")
    data = bytearray(segment.read_bytes())
    data[300] ^= 1
    segment.write_bytes(data)
    lines = io.StringIO()
    configure_log(lines, "test", "info")
    await signing.sign_news(at_once=True)
    await signing.sign_news(at_once=True)
    assert log.flush(5.0)
    configure_log(sys.stderr, "axon", "info")
    assert lines.getvalue().count("audit.broken") == 1
    assert (await judged(postgres, journal, signer)).checkpoints == 0
