"""The way from clients to the serving process: requests are lost when either end goes away."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from axon.base import AxonError
from tests.simulation.machine import Machine
from tests.simulation.serving import Serving
from tests.simulation.world import Process

T = TypeVar("T")

REFUSED_AFTER_S = 0.01


class ConnectionBroken(Exception):
    """The client does not know what became of its request."""


class Network:
    """Carries requests; what a request is told leaves the process the moment it is told."""

    def __init__(self, machine: Machine, clients: Process) -> None:
        self._machine = machine
        self._clients = clients
        self._open: dict[asyncio.Future[Any], None] = {}
        machine.on_serving.append(self._changed)

    def _changed(self, serving: Serving | None) -> None:
        if serving is None:
            broken, self._open = list(self._open), {}
            for future in broken:
                self._clients.call_soon(_fail, future, ConnectionBroken())

    async def call(
        self,
        request: Callable[[Serving], Awaitable[T]],
        told: Callable[[T], None],
        patience_s: float = 60.0,
    ) -> T:
        """Return what the process answers; `told` hears it first, even if the client never does.

        Raises AxonError as the process did, ConnectionBroken when it died, and TimeoutError when
        the client has lost its patience and gone away.
        """
        serving = self._machine.serving
        if serving is None:
            await asyncio.sleep(REFUSED_AFTER_S)
            raise ConnectionBroken
        process, world = serving.process, self._machine.world
        answer: asyncio.Future[T] = self._clients.create_future()
        self._open[answer] = None
        tasks: list[asyncio.Task[None]] = []

        async def handle() -> None:
            try:
                result = await request(serving)
            except AxonError as error:
                self._answer(answer, _fail, error)
            else:
                told(result)
                self._answer(answer, _settle, result)

        def arrive() -> None:
            task = process.create_task(handle())
            task.add_done_callback(lambda task: _report(process, task))
            tasks.append(task)

        process.call_later(world.between(0.0002, 0.01), arrive)
        try:
            async with asyncio.timeout(patience_s):
                return await answer
        except TimeoutError:
            for task in tasks:
                process.call_soon(task.cancel)
            raise
        finally:
            self._open.pop(answer, None)

    def _answer(
        self, answer: "asyncio.Future[Any]", settle: Callable[..., None], what: object
    ) -> None:
        delay = self._machine.world.between(0.0002, 0.01)
        self._clients.call_later(delay, settle, answer, what)


def _settle(future: "asyncio.Future[Any]", result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _report(process: Process, task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        error = task.exception()
        assert error is not None
        trace = "".join(traceback.format_exception(error)[-4:])
        process.errors.append(f"a request broke: {error!r}\n{trace}")
