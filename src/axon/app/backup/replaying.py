"""After a restore: everything the journals have behind the backup, brought into PostgreSQL."""

import asyncio
from typing import NamedTuple

from axon.app.backup.errors import ReplayStuck
from axon.app.backup.place import Place, journal_folders
from axon.app.backup.verifying import Progress
from axon.app.roles.projector import projection
from axon.base import TaskOwner
from axon.journal import read_cursor, read_durable
from axon.projection import ProjectorStatus, read_status

_PARKED = "SELECT count(*) FROM projection.parked"

_LOOK_EVERY_S = 0.05
STUCK_S = 120.0
"""A batch takes less than a second; for so long without one, PostgreSQL is away."""

_STOP_WITHIN_S = 30.0
"""As long as a batch may take at most."""


class Replay(NamedTuple):
    """What a replay did."""

    records: int
    parked: int
    """Records that could not be applied; `axon doctor` says how to go on."""


async def replay_journals(place: Place, progress: Progress) -> Replay:
    """Return when PostgreSQL has all that the journals of this node hold.

    Nobody may write to them meanwhile. It may be cut short: `axon up` goes on where it ended.
    Raises ReplayStuck when a journal cannot be applied.
    """
    began_us = place.clock.now_us()
    total = _lag(place)
    failures: list[BaseException] = []
    stop = asyncio.Event()
    tasks = TaskOwner(lambda _, error: failures.append(error))
    async with projection(place.settings, place.database_url) as found:
        run = tasks.start(found.run(stop), "replay the journals")
        try:
            moved = (total, place.clock.monotonic())
            while left := _lag(place):
                progress("replaying the journal", total - left, total)
                if run.done():
                    raise ReplayStuck(str(failures)) from (failures[0] if failures else None)
                if left != moved[0]:
                    moved = (left, place.clock.monotonic())
                stands_still = place.clock.monotonic() > moved[1] + STUCK_S
                _refuse_stuck(_status(place, began_us), stands_still)
                await asyncio.sleep(_LOOK_EVERY_S)
            parked = await _parked_for_good(place, run)
        finally:
            stop.set()
            await tasks.finish(_STOP_WITHIN_S)
    progress("replaying the journal", total, total)
    return Replay(total, parked)


async def _parked_for_good(place: Place, run: "asyncio.Task[object]") -> int:
    """Return how many records are parked once those that only waited for others are in."""
    async with place.connection() as connection:
        if not await connection.fetchval(_PARKED):
            return 0
        caught_up_us = place.clock.now_us()
        while _status(place, caught_up_us) is None and not run.done():
            await asyncio.sleep(_LOOK_EVERY_S)  # it tries what waits, once a second
        parked: int = await connection.fetchval(_PARKED)
        return parked


def _lag(place: Place) -> int:
    """Return how many entries PostgreSQL does not have yet."""
    return sum(
        max(0, read_durable(journal) - read_cursor(journal))
        for journal in journal_folders(place.folder)
    )


def _status(place: Place, since_us: int) -> ProjectorStatus | None:
    status = read_status(place.folder.journals)
    return status if status is not None and status.at_us >= since_us else None


def _refuse_stuck(status: ProjectorStatus | None, stands_still: bool) -> None:
    stuck = [] if status is None else [one for one in status.journals if one.error]
    if stuck:
        raise ReplayStuck("; ".join(f"{one.instance}: {one.error}" for one in stuck))
    if stands_still:
        why = status.last_error if status is not None else ""
        raise ReplayStuck(why or f"nothing was applied for {STUCK_S:.0f} s")
