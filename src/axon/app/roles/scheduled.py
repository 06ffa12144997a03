"""Work that is done now and again beside all turns: named tasks, each in one process at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from axon.app.roles.task_locks import TaskLocks
from axon.base import MICROS_PER_SECOND, Clock, TaskOwner
from axon.stores import Breaker, Health, PostgresAway
from axon.telemetry import counter, gauge, log

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
"""A sink that is back after an hour is found within this."""

STANDBY_S = 5.0
"""How often a process looks whether the one that has a task is still there."""

_DESCRIBED_MAX = 300
"""Characters of an error that are shown."""

_succeeded = gauge(
    "axon_task_succeeded_timestamp_seconds", "When a task of the scheduler last got through.",
    ("task",),
)  # fmt: skip
_lag = gauge(
    "axon_task_lag_seconds", "How long ago that was, in the process that has the task.", ("task",)
)
_failed = counter("axon_task_failures_total", "Runs of a task that failed.", ("task",))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledTask:
    """One kind of work, done again and again by whichever scheduler holds its lock."""

    name: str
    """In log lines, metrics, `/status` and the lock: words with hyphens."""
    every_s: float
    """The pause after a run that got through."""
    work: Callable[[], Awaitable[None]]
    """One run: all that is to be done now, in bounded pieces. It raises what went wrong, and is
    then run again after a growing delay. It may be cancelled at any await, and when PostgreSQL
    comes and goes two processes may run it at once for a moment: what it did twice must count
    once."""


@dataclass(slots=True)
class _Kept:
    """A task and how it is."""

    task: ScheduledTask
    breaker: Breaker
    succeeded_us: int
    mine: bool = False
    failures: int = field(default=0)

    def failed(self, reason: str) -> float:
        """Note a failed run; return how long to wait."""
        self.failures += 1
        self.breaker.trip(reason)
        _failed.labels(self.task.name).inc()
        return min(FIRST_DELAY_S * (1 << min(self.failures - 1, 10)), LONGEST_DELAY_S)

    def succeeded(self, now_us: int) -> float:
        """Note a run that got through; return how long to wait."""
        self.failures = 0
        self.succeeded_us = now_us
        self.breaker.succeeded()
        _succeeded.labels(self.task.name).set(now_us / MICROS_PER_SECOND)
        return self.task.every_s


class Schedule:
    """Runs the tasks whose locks this process has; the others are another process's."""

    def __init__(self, tasks: Sequence[ScheduledTask], locks: TaskLocks, clock: Clock) -> None:
        """Nothing runs yet."""
        self._locks = locks
        self._clock = clock
        self._kept = [
            _Kept(task, Breaker(f"task {task.name}", 1, clock=clock), clock.now_us())
            for task in tasks
        ]

    async def run(self) -> None:
        """Run all of them until cancelled."""
        owner = TaskOwner(_keeper_failed)
        keepers = [owner.start(self._keep(one), one.task.name) for one in self._kept]
        keepers.append(owner.start(self._locks.keep(), "hold the locks"))
        try:
            await asyncio.gather(*keepers)
        finally:
            await owner.cancel()
            self._locks.release()

    def health(self) -> dict[str, Health]:
        """Return how each task is, as `task <name>`; also brings the gauge of their lag forward."""
        for one in self._kept:
            if one.mine:
                lag_s = (self._clock.now_us() - one.succeeded_us) / MICROS_PER_SECOND
                _lag.labels(one.task.name).set(max(0.0, lag_s))
        return {one.breaker.name: one.breaker.health for one in self._kept}

    async def _keep(self, kept: _Kept) -> None:
        while True:
            await asyncio.sleep(await self._once(kept))

    async def _once(self, kept: _Kept) -> float:
        """Run a task if it is ours; return how long to wait."""
        try:
            lost = await self._locks.take(kept.task.name)
        except PostgresAway as error:
            kept.breaker.trip(str(error))
            return FIRST_DELAY_S  # asking is cheap, and nothing else is wrong with the task
        if (lost is not None) != kept.mine:
            kept.mine = lost is not None
            kept.succeeded_us = self._clock.now_us()  # its lag is counted from here
            what = "runs here" if kept.mine else "runs elsewhere"
            log.info("task.moved", f"The task {kept.task.name} {what}.", axon__task=kept.task.name)
        if lost is None:
            kept.breaker.succeeded()
            return STANDBY_S
        reason = await _run_unless(lost, kept.task)
        if reason:
            return kept.failed(reason)
        return kept.succeeded(self._clock.now_us())


async def _run_unless(lost: asyncio.Event, task: ScheduledTask) -> str:
    """Run a task once, not beyond the loss of its lock; return why it failed, or nothing."""
    owner = TaskOwner(lambda name, error: None)  # what it raises is looked at below
    work = owner.start(_awaited(task), task.name)
    watch = owner.start(lost.wait(), "lock")
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await owner.cancel()
    if work.cancelled():
        return "PostgreSQL went away, and with it the lock"
    error = work.exception()
    return "" if error is None else f"{type(error).__name__}: {error}"[:_DESCRIBED_MAX]


async def _awaited(task: ScheduledTask) -> None:
    await task.work()


def _keeper_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )
