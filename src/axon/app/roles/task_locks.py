"""Which scheduler does what: one advisory lock of PostgreSQL for each task."""

import asyncio

import asyncpg

from axon.stores import PostgresAway

TIMEOUT_S = 5.0
"""Of each question; a PostgreSQL that is frozen is as good as gone."""

CONFIRM_EVERY_S = 5.0

SILENT_MAX_S = 30.0
"""PostgreSQL ends a session that says nothing for so long, and so takes the locks of a scheduler
that is frozen; a machine that vanished says nothing either."""


class TaskLocks:
    """A connection of its own that holds the locks: they end with it, however this process ends."""

    def __init__(self, database_url: str, silent_max_s: float = SILENT_MAX_S) -> None:
        """Connects when the first lock is asked for."""
        self._url = database_url
        self._silent_max_s = silent_max_s
        self._connection: asyncpg.Connection | None = None
        self._asking = asyncio.Lock()
        self._held: set[str] = set()
        self._lost = asyncio.Event()

    async def take(self, name: str) -> asyncio.Event | None:
        """Return an event that is set when the lock is lost; None while another process has it.

        Taking a lock that is held confirms it. Raises PostgresAway.
        """
        async with self._asking:
            connection = await self._connected()
            if name in self._held:
                await self._ask(connection, "SELECT true")
            elif await self._ask(
                connection, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"axon {name}"
            ):
                self._held.add(name)
            return self._lost if name in self._held else None

    async def keep(self) -> None:
        """Show PostgreSQL that this process lives, until cancelled."""
        while True:
            await asyncio.sleep(CONFIRM_EVERY_S)
            async with self._asking:
                if self._connection is not None:
                    try:
                        await self._ask(self._connection, "SELECT true")
                    except PostgresAway:
                        continue  # whoever needs a lock is told when it asks

    def release(self) -> None:
        """Let go of all locks."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        self._held.clear()
        self._lost.set()
        self._lost = asyncio.Event()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self.release()
        settings = {
            "application_name": "axon scheduler",
            "idle_session_timeout": str(round(self._silent_max_s * 1000)),
        }
        try:
            async with asyncio.timeout(TIMEOUT_S):
                connection = await asyncpg.connect(self._url, server_settings=settings)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise PostgresAway(f"{type(error).__name__}: {error}") from error
        connection.add_termination_listener(lambda _: self._ended(connection))
        self._connection = connection
        return connection

    async def _ask(self, connection: asyncpg.Connection, statement: str, *values: str) -> bool:
        cut = asyncio.get_running_loop().call_later(TIMEOUT_S, connection.terminate)
        try:
            return bool(await connection.fetchval(statement, *values))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self.release()
            raise PostgresAway(f"{type(error).__name__}: {error}") from error
        finally:
            cut.cancel()

    def _ended(self, connection: asyncpg.Connection) -> None:
        """Called by asyncpg when a connection ends, whoever ended it."""
        if connection is self._connection:
            self.release()
