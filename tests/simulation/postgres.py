"""PostgreSQL at the other end of a network that may fail at any statement, COMMIT above all.

What asyncpg would give a process is imitated here; what the statements do is PostgreSQL's own.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.simulation.planted import Plant
from tests.simulation.real_servers import RealPostgres
from tests.simulation.world import Process, World, running_process

ONE_WAY_S = (0.001, 0.02)
"""Long enough that much can happen within a transaction, and that batches come together."""


@dataclass(slots=True)
class Ambush:
    """What waits for a statement of one process."""

    process: str
    statements: int
    """How many are let through first; 0 waits for the next COMMIT."""
    deadly: bool
    """Whether the process dies; else the connection does."""
    afterwards: bool
    """Whether the statement is carried out first."""

    def meets(self, process: str, sql: str) -> bool:
        """Return whether this statement is the one."""
        if process != self.process:
            return False
        if self.statements:
            self.statements -= 1
            return not self.statements
        return sql == "COMMIT"


_LOST = "connection was closed in the middle of operation"


class SimulatedPostgres:
    """The server as its clients see it: up, away or frozen, quick or slow."""

    def __init__(self, world: World, real: RealPostgres, plant: Plant) -> None:
        self.world = world
        self.real = real
        self.plant = plant
        self.up = True
        self.frozen = False
        self.slow = 1.0
        self.lose_connections = 0.0
        """The probability that a statement takes its connection with it."""
        self.refuse_transactions = 0.0
        """The probability that a COMMIT ends in a serialization failure."""
        self.ambush: Ambush | None = None
        self.connections: list[SimulatedConnection] = []
        self.thawed: list[asyncio.Future[None]] = []
        """Those who wait for the server to go on."""
        self.unlocked: list[asyncio.Future[None]] = []
        """Those who wait for the end of a transaction."""

    async def connect(self, *_: Any, **__: Any) -> "SimulatedConnection":
        """Stand in for asyncpg.connect."""
        process = running_process()
        await asyncio.sleep(self.world.between(0.0005, 0.01))
        await self.answering()
        if not self.up:
            raise ConnectionRefusedError("simulated PostgreSQL is away")
        return SimulatedConnection(self, process)

    async def answering(self) -> None:
        """Return when the server is not frozen."""
        while self.frozen:
            future = asyncio.get_running_loop().create_future()
            self.thawed.append(future)
            await future

    def go_away(self) -> None:
        """Stop: every connection is lost, and what was not committed."""
        self.up = False
        for connection in list(self.connections):
            connection.lose()

    def thaw(self) -> None:
        """Go on where it was frozen."""
        self.frozen = False
        _wake(self.thawed)

    def process_died(self, process: Process) -> None:
        """Notice that a client is gone."""
        for connection in list(self.connections):
            if connection.process is process:
                connection.lose()

    def close(self) -> None:
        """Give every connection back, at the end of the world."""
        for connection in list(self.connections):
            connection.lose()


class SimulatedConnection:
    """What asyncpg calls a connection."""

    def __init__(self, server: SimulatedPostgres, process: Process) -> None:
        self.process = process
        self.depth = 0
        self.server = server
        self._real = server.real.take()
        self._closed = False
        self._waiting: asyncio.Future[None] | None = None
        self._sent: tuple[str, tuple[Any, ...], dict[str, Any]] | None = None
        server.connections.append(self)

    # ---- what callers of asyncpg use ----

    def is_closed(self) -> bool:
        return self._closed

    def is_in_transaction(self) -> bool:
        return self.depth > 0

    async def close(self, timeout: float | None = None) -> None:
        del timeout
        self.lose()

    def transaction(self) -> "SimulatedTransaction":
        return SimulatedTransaction(self)

    async def execute(self, sql: str, *args: Any, timeout: float | None = None) -> Any:
        del timeout
        return await self.ask("execute", sql, *args)

    async def executemany(self, sql: str, args: Any) -> Any:
        return await self.ask("executemany", sql, list(args))

    async def fetch(self, sql: str, *args: Any) -> Any:
        return await self.ask("fetch", sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Any:
        return await self.ask("fetchrow", sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        return await self.ask("fetchval", sql, *args)

    async def copy_records_to_table(self, table: str, **options: Any) -> Any:
        options["records"] = list(options["records"])
        return await self.ask("copy_records_to_table", table, **options)

    # ---- the network in between ----

    async def ask(self, method: str, *args: Any, **options: Any) -> Any:
        """Have one statement carried out, unless something comes in between."""
        self._sent = (method, args, options)
        await self._travel()
        ambush = self.server.ambush
        met = ambush is not None and ambush.meets(self.process.name, args[0])
        if met and ambush is not None and not ambush.afterwards:
            await self._fall_into(ambush)
        while True:
            try:
                result = self._do(method, args, options)
                break
            except asyncpg.LockNotAvailableError:
                assert not self.depth, f"{args[0]} waits for another transaction within its own"
                await self._wait_for(self.server.unlocked)
        self._sent = None
        if met and ambush is not None:
            await self._fall_into(ambush)
        await self._travel()
        return result

    async def _fall_into(self, ambush: Ambush) -> None:
        """Be caught: the process stops here for ever, or the connection breaks."""
        self.server.ambush = None
        if ambush.deadly:
            self.server.world.tell(f"{self.process.name} dies at a statement")
            self.process.die()
            await self.process.create_future()
        self.lose()
        raise asyncpg.ConnectionDoesNotExistError(_LOST)

    def _do(self, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Let PostgreSQL carry the statement out."""
        if self.server.plant is Plant.CURSOR_APART and "projection.cursors" in str(args[0]):
            return self._beside(method, args)
        return self.server.real.ask(getattr(self._real, method)(*args, **options))

    def _beside(self, method: str, args: tuple[Any, ...]) -> Any:
        """The planted bug: the cursor's statements commit by themselves, before their effect."""
        beside = self.server.real.take()
        try:
            sql = str(args[0]).replace("FOR UPDATE", "")
            return self.server.real.ask(getattr(beside, method)(sql, *args[1:]))
        finally:
            self.server.real.give_back(beside)

    async def _travel(self) -> None:
        """Spend one way over the network; raises when the connection does not last as long."""
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")
        server, world = self.server, self.server.world
        if world.chance(server.lose_connections):
            self.lose()
        while server.frozen and not self._closed:
            await self._wait_for(server.thawed)
        if not self._closed:
            delay = world.between(*ONE_WAY_S) * server.slow
            await self._wait_for([], delay)
        if self._closed:
            raise asyncpg.ConnectionDoesNotExistError(_LOST)

    async def _wait_for(
        self, waiting: "list[asyncio.Future[None]]", delay_s: float | None = None
    ) -> None:
        """Return when those who wait are woken, when the time is up, or when this is closed."""
        loop = asyncio.get_running_loop()
        self._waiting = future = loop.create_future()
        waiting.append(future)
        timer = None if delay_s is None else loop.call_later(delay_s, _arrive, future)
        try:
            await future
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()
        if self._closed:
            raise asyncpg.ConnectionDoesNotExistError(_LOST)

    def terminate(self) -> None:
        """Cut the connection; what was sent may still be carried out."""
        if not self._closed and self._sent is not None and self.server.world.chance(0.5):
            with suppress(asyncpg.PostgresError):
                self._do(*self._sent)
        self.lose()

    def lose(self) -> None:
        """Break; what was not committed is undone."""
        if self._closed:
            return
        self._closed = True
        self.depth = 0
        self.server.connections.remove(self)
        self.server.real.give_back(self._real)
        _wake(self.server.unlocked)
        if self._waiting is not None:
            _arrive(self._waiting)


def _wake(waiting: "list[asyncio.Future[None]]") -> None:
    woken = list(waiting)
    waiting.clear()
    for future in woken:
        _arrive(future)


def _arrive(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class SimulatedTransaction:
    """A transaction, or a savepoint within one."""

    def __init__(self, connection: SimulatedConnection) -> None:
        self._connection = connection
        self._savepoint = ""

    async def __aenter__(self) -> None:
        connection = self._connection
        if connection.depth:
            self._savepoint = f"simulated_{connection.depth}"
        await connection.ask(
            "execute", f"SAVEPOINT {self._savepoint}" if self._savepoint else "BEGIN"
        )
        connection.depth += 1

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        connection = self._connection
        if connection.is_closed():
            if kind is None:
                raise asyncpg.InterfaceError("connection is closed")
            return
        connection.depth -= 1
        if kind is not None:
            undo = f"ROLLBACK TO {self._savepoint}" if self._savepoint else "ROLLBACK"
            await connection.ask("execute", undo)
            _wake(connection.server.unlocked)
        elif self._savepoint:
            return  # PostgreSQL is not told: a later savepoint of this name hides this one
        else:
            await self._commit()

    async def _commit(self) -> None:
        server = self._connection.server
        if server.world.chance(server.refuse_transactions):
            await self._connection.ask("execute", "ROLLBACK")
            raise asyncpg.SerializationError("simulated")
        await self._connection.ask("execute", "COMMIT")
        _wake(server.unlocked)
