"""Named tasks: one process has each, a failure is told and tried again, a lost lock ends a run."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from axon.app.roles.scheduled import Schedule, ScheduledTask
from axon.app.roles.task_locks import TaskLocks
from axon.base import SystemClock
from axon.telemetry.metrics import registry

WITHIN_S = 30


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not holds():
            await asyncio.sleep(0.01)


class Scheduler:
    """A schedule that runs on the test's loop, as one process would."""

    def __init__(self, database: str, task: ScheduledTask) -> None:
        self.schedule = Schedule([task], TaskLocks(database), SystemClock())
        self.running = asyncio.ensure_future(self.schedule.run())

    @property
    def health(self) -> tuple[bool, str]:
        (health,) = self.schedule.health().values()
        return health.up, health.reason

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.wait([self.running])


class Counting:
    """Work that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.fails = ""

    async def work(self) -> None:
        self.runs += 1
        if self.fails:
            raise ConnectionError(self.fails)

    def task(self) -> ScheduledTask:
        return ScheduledTask(name="counting", every_s=0.01, work=self.work)


async def test_of_two_schedulers_one_has_the_task_and_the_other_takes_it_over(
    database: str,
) -> None:
    first, second = Counting(), Counting()
    one = Scheduler(database, first.task())
    await eventually(lambda: first.runs > 1)
    other = Scheduler(database, second.task())
    before = first.runs
    await eventually(lambda: first.runs > before + 10)
    assert second.runs == 0
    await one.stop()
    await eventually(lambda: second.runs > 1)
    assert other.health == (True, "")
    await other.stop()


@pytest.mark.failure("scheduler", "refusing")
async def test_a_failure_is_told_tried_again_and_over(database: str) -> None:
    counting = Counting()
    counting.fails = "the broker is on fire"
    running = Scheduler(database, counting.task())
    await eventually(lambda: running.health == (False, f"ConnectionError: {counting.fails}"))
    failed = counting.runs
    await eventually(lambda: counting.runs > failed)
    counting.fails = ""
    await eventually(lambda: running.health == (True, ""))
    await running.stop()


async def test_a_run_ends_when_its_lock_is_lost_and_another_begins(database: str) -> None:
    begun, ended = 0, 0

    async def work() -> None:
        nonlocal begun, ended
        begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            ended += 1

    running = Scheduler(database, ScheduledTask(name="endless", every_s=1.0, work=work))
    await eventually(lambda: begun == 1)
    connection = await asyncpg.connect(database)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'axon scheduler' AND datname = current_database()"
    )
    await connection.close()
    await eventually(lambda: ended == 1)
    assert running.health[0] is False
    await eventually(lambda: begun == 2)
    await running.stop()
    assert ended == 2


@pytest.mark.failure("scheduler", "frozen")
async def test_a_scheduler_that_says_nothing_loses_its_locks(database: str) -> None:
    frozen, other = TaskLocks(database, silent_max_s=0.2), TaskLocks(database)
    lost = await frozen.take("it")
    assert lost is not None
    async with asyncio.timeout(WITHIN_S):
        while await other.take("it") is None:
            await asyncio.sleep(0.01)
        await lost.wait()
    assert await frozen.take("it") is None
    frozen.release()
    other.release()


@pytest.mark.failure("scheduler", "at-start")
async def test_without_postgresql_nothing_runs(tmp_path: pytest.TempPathFactory) -> None:
    counting = Counting()
    running = Scheduler(f"postgresql://axon@/axon?host={tmp_path}", counting.task())
    await eventually(lambda: not running.health[0])
    assert counting.runs == 0
    await running.stop()


async def test_a_task_that_fails_on_has_a_lag_that_grows(database: str) -> None:
    counting = Counting()
    counting.fails = "nobody listens"
    one = Scheduler(database, counting.task())
    await eventually(lambda: counting.runs > 0 and bool(one.health) and lag_s() > 0)
    before_s = lag_s()
    await eventually(lambda: bool(one.health) and lag_s() > before_s)
    await one.stop()


def lag_s() -> float:
    return registry.get_sample_value("axon_task_lag_seconds", {"task": "counting"}) or 0
