"""Keeps a process's price book as PostgreSQL has it, and on disk for when that is away."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from axon.base import Randomness, TaskOwner
from axon.metering.book import PriceBook
from axon.metering.price_store import PAGE, newest_version, prices_since
from axon.metering.snapshot import Snapshot, read_snapshot, write_snapshot
from axon.stores import Postgres, PostgresAway
from axon.telemetry import counter, log

QUERY_TIMEOUT_S = 1.0
"""The queries read an index and take a millisecond; a second means PostgreSQL is not well."""

_snapshot_failures = counter(
    "axon_metering_snapshot_failures_total", "Snapshots of the prices that could not be written."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerOptions:
    """How the prices are kept."""

    snapshot_path: Path
    """The file that stands in for PostgreSQL at start; several processes may share it."""
    poll_every_ms: int = 400
    """How often changes are asked for: a price counts everywhere within a second."""


class PriceFollower:
    """Puts every change of the prices into a book; an outage leaves the book as it is.

    A database without prices, where there were some, was emptied: that is no news of everything
    being free, so the book stays as it is then too.
    """

    def __init__(
        self, postgres: Postgres, book: PriceBook, randomness: Randomness, options: FollowerOptions
    ) -> None:
        """`postgres` is started and stopped by its owner."""
        self._postgres = postgres
        self._book = book
        self._randomness = randomness
        self._options = options
        self._seen = 0
        self._tasks = TaskOwner(_task_failed)

    async def start(self) -> None:
        """Read the snapshot, ask PostgreSQL once, and keep asking; never fails for an outage."""
        snapshot = await asyncio.to_thread(read_snapshot, self._options.snapshot_path)
        if snapshot is not None:
            self._book.put(snapshot.prices)
            self._seen = snapshot.seen
        await self.refresh()
        self._tasks.start(self._poll(), "metering.poll")

    async def stop(self) -> None:
        """Stop asking."""
        await self._tasks.cancel()

    async def refresh(self) -> bool:
        """Take over what changed in PostgreSQL; return False when it did not answer."""
        before = self._seen
        try:
            await self._read()
        except (PostgresAway, asyncpg.PostgresError):
            return False
        if self._seen != before:
            await self._save()
        return True

    async def _read(self) -> None:
        async with self._postgres.connection(QUERY_TIMEOUT_S) as connection:
            newest = await newest_version(connection)
            if newest == 0:
                return
            if newest < self._seen:  # the database went back to an older backup
                self._book.clear()
                self._seen = 0
            while self._seen < newest:
                page = await prices_since(connection, self._seen)
                self._book.put(page)
                full = len(page) == PAGE
                self._seen = page[-1].version if full else newest  # the rest is the next poll's

    async def _poll(self) -> None:
        every_s = self._options.poll_every_ms / 1000
        # Processes that start together shall not ask together for ever.
        await asyncio.sleep(every_s * self._randomness.bytes(1)[0] / 256)
        while True:
            await self.refresh()
            await asyncio.sleep(every_s)

    async def _save(self) -> None:
        """A disk that refuses costs the snapshot and nothing else; the next change tries again."""
        snapshot = Snapshot(seen=self._seen, prices=self._book.all())
        try:
            await asyncio.to_thread(write_snapshot, self._options.snapshot_path, snapshot)
        except OSError as error:
            _snapshot_failures.inc()
            log.warning("prices-snapshot-failed", f"The snapshot was not written: {error}")


def _task_failed(name: str, error: BaseException) -> None:
    log.error("metering-task-failed", f"{name} ended: {error!r}")
