"""The bus inside one process: what a worker puts, the turn's next() returns."""

import asyncio
from collections import deque

from axon.base import KIB, Clock
from axon.inference.deadlines import Deadlines
from axon.inference.errors import TurnAlreadySubmitted
from axon.inference.jobs import (
    FailureKind,
    JobDone,
    JobFailed,
    JobOutput,
    SseBytes,
    WholeBody,
)
from axon.inference.ports import Delivery, JobListener, JobStream, JobWriter

BEHIND_BYTES = 256 * KIB
"""Stream bytes waiting for a turn at which its worker is told to pause: one read of the socket. At
half of them it may go on."""

WORKER_GRACE_S = 5.0
"""How long after a job's deadline its worker may still say so itself."""

_ENDS = (JobDone, JobFailed, WholeBody)


class LocalBus:
    """Implements Bus and JobWriters; a stream is forgotten when its last output was put."""

    def __init__(self, clock: Clock) -> None:
        """`clock` is what jobs' deadlines are measured by."""
        self._channels: dict[str, _Channel] = {}
        self._deadlines = Deadlines(clock)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop the bus runs on; asking Python for it each time is a system call."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._channels)

    def open(self, turn_id: str, deadline: float) -> JobStream:
        """Return the reading end."""
        if turn_id in self._channels:
            raise TurnAlreadySubmitted(turn_id)
        channel = self._channels[turn_id] = _Channel(self, turn_id, deadline)
        self._deadlines.watch(channel)
        return channel

    def writer(self, delivery: Delivery, listener: JobListener) -> JobWriter:
        """Return the writing end; for a turn that is gone, one that says it is cancelled."""
        return self.writer_of(delivery.job.turn_id, listener)

    def writer_of(self, turn_id: str, listener: JobListener) -> JobWriter:
        """Return the writing end of a turn's stream, also when no delivery is at hand."""
        channel = self._channels.get(turn_id)
        if channel is None:
            channel = _Channel(self, turn_id, 0.0)
            channel.cancelled = True
        channel.listener = listener
        return channel

    def cancel(self, turn_id: str) -> None:
        """Tell the worker within this call, or end the stream when there is none."""
        channel = self._channels.get(turn_id)
        if channel is not None:
            channel.cancel()

    def forget(self, channel: "_Channel") -> None:
        """Drop a stream that has ended: its reader has it in hand, and may read on."""
        if self._channels.get(channel.turn_id) is channel:
            del self._channels[channel.turn_id]
            self._deadlines.forget(channel)


class _Channel:
    """Both ends of one job's stream."""

    __slots__ = (
        "_behind",
        "_bus",
        "_bytes",
        "_late",
        "_outputs",
        "_waiter",
        "cancelled",
        "due",
        "ended",
        "listener",
        "shown",
        "turn_id",
    )

    def __init__(self, bus: LocalBus, turn_id: str, deadline: float) -> None:
        self._bus = bus
        self.turn_id = turn_id
        self._outputs: deque[JobOutput] = deque()
        self._bytes = 0
        self._behind = False
        self._waiter: asyncio.Future[None] | None = None
        self.due = deadline
        self.cancelled = self.shown = self.ended = self._late = False
        self.listener: JobListener | None = None

    # ---- the worker's end ----

    def put(self, output: JobOutput) -> bool:
        """Pass output on; False when more than BEHIND_BYTES wait."""
        if self.ended:
            return True  # the bus gave the job up before its worker did
        self._outputs.append(output)
        if isinstance(output, SseBytes):
            self.shown = True
            self._bytes += len(output.data)
            self._behind = self._bytes > BEHIND_BYTES
        elif isinstance(output, _ENDS):
            self.ended = True
            self.listener = None
            self._bus.forget(self)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        return not self._behind

    def leave(self) -> None:
        """Leave without an end."""
        self.listener = None

    # ---- the turn's end ----

    async def next(self) -> JobOutput:
        """Return the next output."""
        while not self._outputs:
            self._waiter = waiter = self._bus.loop.create_future()
            await waiter
        output = self._outputs.popleft()
        if type(output) is SseBytes:
            self._bytes -= len(output.data)
            if self._behind and self._bytes <= BEHIND_BYTES // 2:
                self._caught_up()
        return output

    async def next_all(self) -> list[JobOutput]:
        """Return all that is there."""
        while not self._outputs:
            self._waiter = waiter = self._bus.loop.create_future()
            await waiter
        found = list(self._outputs)
        self._outputs.clear()
        self._bytes = 0
        if self._behind:
            self._caught_up()
        return found

    def _caught_up(self) -> None:
        self._behind = False
        if self.listener is not None:
            self.listener.on_room()

    def cancel(self) -> None:
        """Tell the worker, or end the stream when there is none."""
        if self.ended or self.cancelled:
            return
        self.cancelled = True
        if self.listener is not None:
            self.listener.on_cancel()
        else:
            self._give_up(FailureKind.CANCELLED, "cancelled before a worker had it")

    # ---- the deadline ----

    def expired(self, now: float) -> None:
        """End the stream, unless a worker has the job and may still say so itself."""
        if self.listener is not None and not self._late:
            self._late = True
            self.due = now + WORKER_GRACE_S
        else:
            self._give_up(FailureKind.DEADLINE, "no worker ended the job before its deadline")

    def _give_up(self, kind: FailureKind, message: str) -> None:
        """End the stream in the worker's place, then tell the worker if there is one."""
        listener = self.listener
        self.cancelled = True
        self.put(JobFailed(kind=kind, message=message, shown=self.shown))
        if listener is not None:
            listener.on_cancel()
