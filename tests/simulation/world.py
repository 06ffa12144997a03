"""A world in which time is a number: one queue of events for all processes, and one seed.

Every process has a loop of its own on this queue. A process that is killed stops between two of
its steps; nothing of it, no `finally`, no callback, ever runs again. asyncio's own tasks, futures
and timeouts run on these loops unchanged.
"""

import asyncio
import contextvars
import hashlib
import heapq
import itertools
import random
import struct
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, cast

from axon.base import MICROS_PER_SECOND

EPOCH_US = 1_700_000_000_000_000
"""The wall clock when a world begins."""

EVENTS_MAX = 2_000_000
"""A world with more events than this turns in a circle."""

_STEP = struct.Struct("<dI")


class Stuck(Exception):
    """Nothing will ever happen again, or something for ever."""


class World:
    """The queue of events, the clock, and the dice."""

    def __init__(self, seed: int) -> None:
        """Begin at time 0."""
        self.seed = seed
        self.dice = random.Random(seed)
        self.now = 0.0
        self.events = 0
        self._queue: list[tuple[float, int, Process, asyncio.Handle]] = []
        self._numbers = itertools.count()
        self._trace = hashlib.blake2s()
        self.told: list[str] = []
        """What happened from outside: faults and deaths, for whoever looks for a bug."""

    def tell(self, what: str) -> None:
        """Note something for whoever reads the story of this seed."""
        self.told.append(f"{self.now:9.4f} {what}")
        self._trace.update(what.encode())

    @property
    def trace(self) -> str:
        """Return what two runs of one seed must have in common."""
        return self._trace.hexdigest()

    def between(self, low: float, high: float) -> float:
        """Return a duration in seconds; short ones are likelier."""
        return low + (high - low) * self.dice.random() ** 3

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.dice.random() < probability

    def add(self, when: float, process: "Process", handle: asyncio.Handle) -> None:
        """Have a step run at its time, behind all that were added for the same time."""
        heapq.heappush(self._queue, (when, next(self._numbers), process, handle))

    def run(self, until: Callable[[], bool]) -> None:
        """Let things happen until `until()` holds; raises Stuck."""
        while not until():
            if not self._queue or self.events >= EVENTS_MAX:
                raise Stuck(f"after {self.events} events at {self.now:.3f} s")
            when, _, process, handle = heapq.heappop(self._queue)
            if process.dead or handle.cancelled():
                continue
            self.now = max(self.now, when)
            self.events += 1
            process.step(handle)
            self._trace.update(_STEP.pack(self.now, process.number))


class WorldClock:
    """The clock of a world; `ahead_us` is how wrong the wall clock is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ahead_us = 0

    def now_us(self) -> int:
        return EPOCH_US + self.ahead_us + int(self._world.now * MICROS_PER_SECOND)

    def monotonic(self) -> float:
        return self._world.now


class WorldRandomness:
    """Random bytes that are the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def bytes(self, count: int) -> bytes:
        return self._dice.randbytes(count)


class Process:
    """A process: an event loop, as far as Axon uses one, that can be killed between two steps."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.number = len(name)
        self.dead = False
        self.steps = 0
        self.dies_at_step = -1
        self.on_death: list[Callable[[], None]] = []
        self.errors: list[str] = []
        self.connect: Callable[[Any], Any] | None = None
        """Makes a connection to the simulated Valkey for a protocol."""
        self._loop = cast(asyncio.AbstractEventLoop, self)
        self._tasks: list[asyncio.Task[Any]] = []
        """All there ever were: asyncio itself would let go of them."""

    # ---- life and death ----

    def step(self, handle: asyncio.Handle) -> None:
        """Run one step, unless it is the one at which this process is to die."""
        self.steps += 1
        if self.steps == self.dies_at_step:
            self.die()
            return
        asyncio._set_running_loop(self._loop)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)

    def die(self) -> None:
        """Stop here, as kill -9 does."""
        if self.dead:
            return
        self.dead = True
        _graves.append(self)
        for tell in self.on_death:
            tell()

    # ---- what asyncio asks of a loop ----

    def time(self) -> float:
        return self.world.now

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._loop, context)
        if not self.dead:
            self.world.add(self.world.now, self, handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.world.now + max(0.0, delay), callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._loop, context)
        if not self.dead:
            self.world.add(when, self, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        del handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self._loop, name=name, context=context)
        self._tasks.append(task)
        return task

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run `func` a moment later, all at once: what a thread does in between shows nowhere."""
        del executor
        future = self.create_future()
        self.call_later(self.world.between(0.00005, 0.003), self._work, future, func, args)
        return future

    @staticmethod
    def _work(future: asyncio.Future[Any], func: Callable[..., Any], args: Any) -> None:
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - it is the caller's
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    async def create_unix_connection(
        self, protocol_factory: Any, path: Any = None, **_: Any
    ) -> Any:
        assert self.connect is not None
        return await cast(Coroutine[Any, Any, Any], self.connect(protocol_factory))

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.errors.append(f"{context.get('message')} {context.get('exception')!r}")

    default_exception_handler = call_exception_handler


def running_process() -> Process:
    """Return the process whose step this is."""
    return cast(Process, asyncio.get_running_loop())


_graves: list[Process] = []
"""Keeps the dead from being collected: their coroutines must not be closed, for that runs code."""
