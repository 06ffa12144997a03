"""The queue that carries jobs to workers and the bus that carries their output back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from axon.inference.jobs import Job, JobOutput


@dataclass(frozen=True, slots=True)
class Reply:
    """Where another process waits for the output of a delivery."""

    inbox: str
    """The process that submitted the job."""
    attempt_id: str
    """Which of its attempts this is; unique among all of them, of all its lives."""


class Delivery(Protocol):
    """A job in the hands of a worker. It ends with exactly one of `done` and `give_back`."""

    job: Job
    attempt: int
    """1 for the first worker that gets the job; it grows when one dies or gives it back."""
    reply: Reply | None
    """None when the one who submitted the job is in this process."""

    def done(self) -> None:
        """Say that the job has ended, well or badly; its slot is free. Does not block."""
        ...

    def give_back(self) -> None:
        """Let another worker have the job; its slot is free. Does not block.

        Within a process it goes before the others, between processes behind them.
        """
        ...


class Consumer(Protocol):
    """A worker's subscription to one lane."""

    def drain(self) -> None:
        """Take no more jobs; those not yet done stay the worker's."""
        ...

    def close(self) -> None:
        """Take no more jobs; every job not yet done is given back.

        This is also what happens, a moment later, when the worker dies.
        """
        ...


class JobQueue(Protocol):
    """The submitting end of the queue; jobs leave it first in first out within a row of a lane.

    Rows that wait at the same time share the slots by their weights.

    It loses no job that was put: until `done`, a job whose worker goes away is delivered again.
    """

    def put(self, job: Job) -> None:
        """Take the job; raise QueueFull when its lane is at its bound. Does not block."""
        ...

    def forget(self, turn_id: str) -> bool:
        """Drop a job that no worker has yet; return False when one has it, or none is known."""
        ...


class JobSource(Protocol):
    """The workers' end of the queue."""

    def consume(self, lane: str, slots: int, take: Callable[[Delivery], None]) -> Consumer:
        """Call `take` for each job of the lane, with at most `slots` of them not yet done.

        `take` is called on the loop, possibly within `put`; it must not block or raise.
        """
        ...


class JobListener(Protocol):
    """What a worker hears from the turn that reads its output."""

    def on_cancel(self) -> None:
        """The turn wants no more: close the upstream connection now and end the output."""
        ...

    def on_room(self) -> None:
        """The turn has caught up; output may flow again."""
        ...


class JobWriter(Protocol):
    """A worker's end of the bus for one job."""

    @property
    def cancelled(self) -> bool:
        """Return True when the turn no longer waits for this job: it need not be run."""
        ...

    @property
    def shown(self) -> bool:
        """Return True when output of an earlier worker reached the bus: it must not be rerun."""
        ...

    def put(self, output: JobOutput) -> bool:
        """Pass output on, and return False when the turn is behind.

        After False the worker stops reading from the upstream until `on_room`.
        """
        ...

    def leave(self) -> None:
        """Leave without ending the output: another worker will go on, or the deadline will."""
        ...


class JobWriters(Protocol):
    """The workers' end of the bus."""

    def writer(self, delivery: Delivery, listener: JobListener) -> JobWriter:
        """Return the writing end for the worker that took the job."""
        ...


class JobStream(Protocol):
    """A turn's end of the bus for one job.

    Each output is one read of the engine's stream, never two joined: what a client is shown can
    then be made again from the same outputs.
    """

    async def next(self) -> JobOutput:
        """Return the next output; waiting ends at the job's deadline at the latest.

        After JobDone, WholeBody or JobFailed it must not be called again.
        """
        ...

    async def next_all(self) -> list[JobOutput]:
        """Return all outputs that are there, at least one, in order; else as `next`."""
        ...


class Bus(Protocol):
    """The turns' end of the bus: output on its way back, with a bound per job."""

    def open(self, turn_id: str, deadline: float) -> JobStream:
        """Return the reading end; raise TurnAlreadySubmitted while an earlier one is open.

        At `deadline` (monotonic seconds) a job that no worker has taken fails; one that was taken
        is its worker's to fail, and is failed for it if the worker does not.
        """
        ...

    def cancel(self, turn_id: str) -> None:
        """Ask the job's worker to stop, or, when none has it, end the stream as cancelled."""
        ...
