"""The Valkey client of the hot path: pipelined by itself, bounded in time, back by itself."""

import asyncio
from collections.abc import Awaitable, Callable

from axon.base import AxonError, Clock, TaskOwner
from axon.stores.breaker import SYSTEM_CLOCK, Breaker, Health
from axon.stores.errors import ValkeyAway
from axon.stores.valkey_address import read_address
from axon.stores.valkey_pipeline import ValkeyPipeline, ValkeyReply
from axon.telemetry import log

CONNECT_EVERY_S = 0.2
"""Between the beginnings of two attempts to connect: after the loss of a connection that had lasted
the next one comes at once, and a server that takes us in only to refuse us is left in peace. Short,
for a Valkey that was killed is back in as long, and turns without it cost PostgreSQL's time."""

HANDSHAKE_TIMEOUT_S = 2.0
"""For connecting, logging in and loading functions: off the hot path, so TLS may take its time."""


_OWNER_KEY = "axon:owner"


class Valkey:
    """A client with one connection, for one event loop.

    Valkey being away is no reason to wait: a call then fails at once, and callers have their own
    fallback. Commands sent in one tick of the loop leave in one write and are carried out in order.
    """

    def __init__(
        self,
        url: str,
        timeout_ms: int = 50,
        clock: Clock = SYSTEM_CLOCK,
        name: str = "valkey",
    ) -> None:
        """`url` as in read_address, which may raise BadAddress; `timeout_ms` bounds every call.

        `name` is the connection's in log lines and metrics. A client for blocking commands has a
        timeout longer than they block, and no other use: what follows waits for them.
        """
        self.generation = ""
        """The run_id of the server behind the live connection: it changes when Valkey restarts."""
        self.on_connected: list[Callable[[str], Awaitable[None]]] = []
        """Awaited with the new generation before any call is let through; an AxonError raised by
        one of them refuses the connection."""
        self._address = read_address(url)
        self._timeout_s = timeout_ms / 1000
        self._clock = clock
        self._breaker = Breaker(name, clock=clock)
        self._functions: dict[str, str] = {}
        self._live: ValkeyPipeline | None = None
        self._attempted_at = 0.0
        self._lost = asyncio.Event()
        self._here = asyncio.Event()
        self._tasks = TaskOwner(self._task_failed)

    @property
    def available(self) -> bool:
        """Return whether a call would be sent now."""
        return self._live is not None

    @property
    def health(self) -> Health:
        """Return whether a call would be sent now, since when, and why not."""
        return self._breaker.health._replace(up=self.available)

    def call(self, *parts: bytes | str | int) -> "asyncio.Future[ValkeyReply]":
        """Send one command and return the future of its answer.

        Raises ValkeyAway at once when there is no connection; the future gets ValkeyAway after
        the timeout or when the connection breaks, ValkeyRefused when the command was wrong. A
        cancelled call may still be carried out.
        """
        if self._live is None:
            raise ValkeyAway(self._breaker.reason)
        return self._live.call(parts)

    def load_functions(self, name: str, source: str) -> None:
        """Remember a function library; every connection made from now on has it before any call.

        `source` begins with `#!lua name=<name>`. A library that Valkey refuses makes it
        unavailable. Functions that Valkey lost are loaded again after the call that missed them.
        """
        self._functions[name] = source

    async def start(self) -> None:
        """Try to connect once, then keep trying in the background; Valkey may be away."""
        await self._attempt()
        self._tasks.start(self._stay_connected(), "keep the Valkey connection")

    async def wait_until_available(self) -> None:
        """Return when calls can be made; bound it with a timeout of your own."""
        await self._here.wait()

    async def stop(self) -> None:
        """Close the connection; calls in flight get ValkeyAway."""
        await self._tasks.cancel()
        live, self._live = self._live, None
        if live is not None:
            await live.close("this client was stopped")

    async def _stay_connected(self) -> None:
        while True:
            if self._live is not None:
                await self._lost.wait()
            earliest = self._attempted_at + CONNECT_EVERY_S
            await asyncio.sleep(max(0.0, earliest - self._clock.monotonic()))
            await self._attempt()

    async def _attempt(self) -> None:
        self._attempted_at = self._clock.monotonic()
        pipeline: ValkeyPipeline | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                pipeline = await self._dial()
                generation = await self._greet(pipeline)
                for callback in self.on_connected:
                    await callback(generation)
            pipeline.set_timeout(self._timeout_s)
            await pipeline.call(("PING",))  # who is slower than calls may wait is of no use yet
            if pipeline.broken:
                raise ValkeyAway(pipeline.broken)
        except TimeoutError:
            self._breaker.trip(f"no connection within {HANDSHAKE_TIMEOUT_S} s")
        except (OSError, AxonError) as error:
            self._breaker.trip(str(error))
        else:
            pipeline.in_use = True
            self._live, self.generation = pipeline, generation
            self._breaker.succeeded()
            self._lost.clear()
            self._here.set()
        finally:
            if pipeline is not None and pipeline is not self._live:
                await pipeline.close("it was not to be used")

    async def _dial(self) -> ValkeyPipeline:
        loop, address = asyncio.get_running_loop(), self._address

        def protocol() -> ValkeyPipeline:
            return ValkeyPipeline(HANDSHAKE_TIMEOUT_S, self._breaker, self._connection_broke)

        if address.path:
            _, pipeline = await loop.create_unix_connection(protocol, address.path)
        else:
            _, pipeline = await loop.create_connection(
                protocol, address.host, address.port, ssl=address.tls
            )
        return pipeline

    async def _greet(self, pipeline: ValkeyPipeline) -> str:
        address = self._address
        if address.password:
            name = (address.username,) if address.username else ()
            await pipeline.call(("AUTH", *name, address.password))
        if address.database:
            await pipeline.call(("SELECT", address.database))
        if address.owner:
            await _refuse_others(pipeline, address.owner)
        info = await pipeline.call(("INFO", "server"))
        for source in self._functions.values():
            await pipeline.call(("FUNCTION", "LOAD", "REPLACE", source))
        assert isinstance(info, bytes)
        return info.partition(b"run_id:")[2].partition(b"\r\n")[0].decode()

    def _connection_broke(self) -> None:
        live = self._live
        if live is not None and live.broken:
            self._breaker.trip(live.broken)
            self._live, self.generation = None, ""
            self._here.clear()
            self._lost.set()

    def _task_failed(self, name: str, error: BaseException) -> None:
        log.error("task-failed", f"{name}: {error!r}")


async def _refuse_others(pipeline: ValkeyPipeline, owner: str) -> None:
    """Return when the server is the owner's or becomes it now; raises ValkeyAway.

    One whose keys were all flushed is nobody's until the next connection.
    """
    before = await pipeline.call(("SET", _OWNER_KEY, owner, "NX", "GET"))
    if isinstance(before, bytes) and before != owner.encode():
        raise ValkeyAway(f"it belongs to {before.decode(errors='replace')}, not to {owner}")
