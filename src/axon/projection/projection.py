"""From the journals of a node to PostgreSQL: every room's effect and the cursor in one step."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg

from axon.base import Clock
from axon.journal import JournalError
from axon.projection.applying import apply_to_room, describe
from axon.projection.errors import (
    JournalReplaced,
    NewerRecord,
    ProjectionError,
    TooManyParked,
)
from axon.projection.following import FollowedJournal, find_journals
from axon.projection.parked import ParkedRecord, read_parked
from axon.projection.records import Readable, RoomProjector, known_part, read_entry
from axon.projection.replaying import Replayed, replay_number, replay_room
from axon.projection.status import JournalLag, ProjectorStatus, write_status
from axon.projection.store import (
    BEHIND,
    FAILED,
    WAITING,
    Parked,
    count_parked,
    lock_cursor,
    move_cursor,
    park,
    read_cursor_row,
)
from axon.stores import Postgres, PostgresAway
from axon.telemetry import log

POLL_S = 0.01
"""How often an idle projector looks at the journals' marks; a look costs microseconds."""

LOOK_AROUND_S = 1.0
"""How often new journals are looked for, waiting records tried again and the status written."""

RETRY_S = 0.05
"""Between two tries of a record: a predecessor in another journal is usually here by then."""

AWAY_S = 0.25
"""How long an outage is waited out before PostgreSQL is asked again; it is not a try."""

TRANSACTION_TIMEOUT_S = 30.0

PARKED_MAX = 100_000
"""With so many records parked the fault is not theirs: the journals wait until it is mended."""


class _TryAgain(ProjectionError):
    """Some records of the batch failed and have tries left."""


class Projection:
    """Feeds the rooms' projectors, keeps the cursors, parks what cannot be applied.

    Each batch of a journal is one transaction: `before_batch`, every room, what is parked, the
    cursor. An effect is therefore there exactly once, however often the process dies.
    """

    def __init__(
        self,
        postgres: Postgres,
        root: Path,
        projectors: Sequence[RoomProjector],
        clock: Clock,
        before_batch: Callable[[asyncpg.Connection], Awaitable[object]],
    ) -> None:
        """`root` holds one folder per journal; `before_batch` runs first in each transaction."""
        self._postgres = postgres
        self._root = root
        self._projectors = projectors
        self._clock = clock
        self._before_batch = before_batch
        self._journals: dict[Path, FollowedJournal] = {}
        self._unreadable: dict[str, str] = {}
        self._parked: dict[str, int] = {}
        self._last_error = ""
        self._look_around_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Project until `stop` is set; the batch in hand is finished.

        PostgreSQL may be away and journals may be damaged: both are waited out and told in the
        status. Raises what only a new deployment can mend, such as a missing table.
        """
        try:
            while not stop.is_set():
                try:
                    await self._look_around()
                    pause = POLL_S if await self._project_all() == 0 else 0.0
                except _TryAgain as error:
                    pause, self._last_error = RETRY_S, describe(error)
                except (PostgresAway, TooManyParked, asyncpg.TransactionRollbackError) as error:
                    pause, self._last_error = AWAY_S, describe(error)
                await asyncio.sleep(pause)
        finally:
            for journal in self._journals.values():
                journal.reader.close()

    async def replay_parked(self, room: str = "") -> Replayed:
        """Try every parked record again, of one room or of all; for an operator.

        Raises PostgresAway.
        """
        return await self._replay([FAILED, WAITING, BEHIND], room)

    async def replay_one(self, number: int) -> Replayed:
        """Try one parked record again, and those of its conversation behind it, in order.

        Nothing is applied and nothing refused when there is none. Raises PostgresAway.
        """
        async with self._postgres.connection(TRANSACTION_TIMEOUT_S) as connection:
            return await replay_number(connection, self._projectors, number)

    async def list_parked(self, room: str, after: int) -> list[ParkedRecord]:
        """Return parked records behind a number, a page at most; of all rooms for ''.

        Raises PostgresAway.
        """
        async with self._postgres.connection(TRANSACTION_TIMEOUT_S) as connection:
            return await read_parked(connection, room, after)

    async def _replay(self, states: list[str], room: str = "") -> Replayed:
        applied = refused = 0
        for projector in self._projectors:
            if room in ("", projector.name):
                async with self._postgres.connection(TRANSACTION_TIMEOUT_S) as connection:
                    done = await replay_room(connection, projector, states)
                applied += done.applied
                refused += done.refused
        return Replayed(applied=applied, refused=refused)

    async def _project_all(self) -> int:
        """Apply one batch of every journal that has one; return how many entries there were."""
        count = 0
        for journal in self._journals.values():
            if journal.stopped:
                continue
            if journal.projected_through is None:
                await self._find_start(journal)
            elif journal.lag_records > 0:
                count += await self._project(journal)
            if journal.lag_records <= 0:
                journal.caught_up_at = self._clock.monotonic()
        return count

    async def _find_start(self, journal: FollowedJournal) -> None:
        async with self._postgres.connection(TRANSACTION_TIMEOUT_S) as connection:
            sequence = await read_cursor_row(connection, journal.instance)
        try:
            await asyncio.to_thread(journal.start_at, sequence)
        except JournalReplaced as error:
            journal.stop_for_now(describe(error))

    async def _project(self, journal: FollowedJournal) -> int:
        """Bring the next batch of a journal into PostgreSQL; return its number of entries."""
        if sum(self._parked.values()) >= PARKED_MAX:
            raise TooManyParked(f"{PARKED_MAX} or more")
        try:
            entries = known_part(journal.instance, await asyncio.to_thread(journal.read))
        except (JournalError, NewerRecord, OSError) as error:
            journal.stop_for_now(describe(error))
            return 0
        batch = [read_entry(journal.instance, entry) for entry in entries]
        last = entries[-1].sequence
        try:
            async with (
                self._postgres.connection(TRANSACTION_TIMEOUT_S) as connection,
                connection.transaction(),
            ):
                applied = await lock_cursor(connection, journal.instance)
                if applied == journal.projected_through:
                    await self._apply(connection, journal, batch)
                    await move_cursor(connection, journal.instance, last)
                    applied = last
        except (PostgresAway, asyncpg.TransactionRollbackError):
            journal.not_through()
            raise
        await asyncio.to_thread(journal.moved_to, applied)
        self._last_error = ""
        return len(batch)

    async def _apply(
        self, connection: asyncpg.Connection, journal: FollowedJournal, batch: list[Readable]
    ) -> None:
        await self._before_batch(connection)
        rows: list[Parked] = []
        for projector in self._projectors:
            rows += await apply_to_room(connection, projector, batch)
        if not rows:
            return
        refused = ((row.room, row.sequence) for row in rows if row.state != BEHIND)
        hopeful = journal.count_tries(refused)
        if hopeful:
            raise _TryAgain(f"{hopeful} records")
        await park(connection, rows)
        failed = [row for row in rows if row.state == FAILED]
        if failed:
            log.error(
                "projection.parked",
                "Records could not be applied; later ones of their conversations wait.",
                axon__records=len(failed),
                axon__room=failed[0].room,
                axon__journal=failed[0].instance,
                axon__sequence=failed[0].sequence,
                error__message=failed[0].error,
            )

    async def _look_around(self) -> None:
        """Once in a while: find journals, try what waits, say how things stand."""
        now = self._clock.monotonic()
        if now < self._look_around_at:
            return
        self._look_around_at = now + LOOK_AROUND_S
        self._journals, self._unreadable = await asyncio.to_thread(
            find_journals, self._root, self._journals, now
        )
        try:
            await self._replay_waiting()
        finally:
            await asyncio.to_thread(write_status, self._root, self._status())

    async def _replay_waiting(self) -> None:
        if not self._journals:
            return
        if self._parked.get(WAITING) or self._parked.get(BEHIND):
            await self._replay([WAITING, BEHIND])
        async with self._postgres.connection(TRANSACTION_TIMEOUT_S) as connection:
            self._parked = await count_parked(connection)
        if all(journal.lag_records <= 0 for journal in self._journals.values()):
            self._last_error = ""

    def _status(self) -> ProjectorStatus:
        now = self._clock.monotonic()
        journals = self._journals.values()
        return ProjectorStatus(
            at_us=self._clock.now_us(),
            lag_records=sum(journal.lag_records for journal in journals),
            lag_seconds=max((now - journal.caught_up_at for journal in journals), default=0.0),
            parked=sum(self._parked.values()),
            waiting=self._parked.get(WAITING, 0),
            last_error=self._last_error,
            journals=[
                *(journal.lag() for journal in journals),
                *(JournalLag(instance=name, error=why) for name, why in self._unreadable.items()),
            ],
        )
