"""The PostgreSQL pool: bounded in connections, waiters and time, back by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from axon.base import Clock, TaskOwner
from axon.stores.breaker import SYSTEM_CLOCK, Breaker, Health
from axon.stores.errors import BadAddress, PostgresAway
from axon.telemetry import log

START_WITHIN_S = 1.0
"""How long a start waits for the first connection: without it, known keys are served at once."""

FAILURES_TO_OPEN = 3
"""Failures in a row, each worth a whole time limit of its caller: a frozen server is known as such
within some seconds even by a process that only polls."""

PROBE_EVERY_S = 0.2
"""How often a PostgreSQL that is away is tried again, in the background and by nobody else. It is
back within a second of a crash, and this adds to the time its callers are without it."""

STOP_TIMEOUT_S = 1.0
"""How long `stop` waits for connections to say goodbye before they are cut."""

_OUTAGES = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shut down, starting up, statement_timeout
    asyncpg.InsufficientResourcesError,  # disk or memory full, too many connections
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,  # this server has become a standby
    asyncpg.InternalClientError,
)

_EMPTIED = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
"""What an emptied database says; see PostgresOptions.schema_wanted."""

_USABLE = """
SELECT to_regclass('axon_migrations') IS NOT NULL AS schema,
       current_setting('transaction_read_only') = 'off' AS writable
"""

_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


ACTOR_SETTING = "axon.actor"
"""PostgreSQL's setting that says who acts, of a connection or of one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """Bounds of the pool."""

    connections_max: int = 10
    waiters_max: int = 1000
    """Callers that may wait for a connection; the next one is refused at once."""
    connect_timeout_s: float = 5.0
    """For background attempts; a caller's own connection is bounded by the caller's timeout."""
    statement_timeout_s: float = 60.0
    """After which the server gives a statement up, so that one whose caller was cut off ends."""
    schema_wanted: bool = False
    """Whether a database without our tables counts as away: somebody emptied it, or it is not
    ours, and what it does not hold must not be taken for what does not exist."""
    writable_wanted: bool = False
    """Whether a database that can only be read counts as away."""
    refusal: Callable[[asyncpg.Connection], Awaitable[str]] | None = None
    """Asked at the first connection and at the first after an outage: why the database counts as
    away; "" when it does not."""
    actor: str = ""
    """Who makes the changes of these connections, where nothing else says it (`axon.deeds`)."""


def means_away(error: BaseException) -> bool:
    """Return whether `error`, raised by asyncpg, speaks of an outage and not of what was asked."""
    if isinstance(error, asyncpg.InterfaceError):
        # What asyncpg says when it cannot roll back hides why it had to.
        cause = error.__context__
        hidden = isinstance(cause, _DRIVER_ERRORS) and means_away(cause)
        return hidden or "connection is closed" in str(error)
    return isinstance(error, (PostgresAway, OSError, *_OUTAGES))


class Postgres:
    """A pool of asyncpg connections, for one event loop.

    Sessions are not reset between callers: nobody may leave session state behind (SET LOCAL and
    transaction-level advisory locks only).
    """

    def __init__(
        self,
        url: str,
        options: PostgresOptions = PostgresOptions(),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`url` is a libpq address; passwords and sslmode, sslrootcert, ... are taken from it."""
        self._url = url
        self._options = options
        self._breaker = Breaker("postgresql", FAILURES_TO_OPEN, clock=clock)
        self._slots = asyncio.Semaphore(options.connections_max)
        self._waiting = 0
        self._stopped = False
        self._idle: list[asyncpg.Connection] = []
        self._away = asyncio.Event()
        self._here = asyncio.Event()
        self._tasks = TaskOwner(self._task_failed)

    @property
    def available(self) -> bool:
        """Return whether a connection would be lent now."""
        return self._breaker.state == "closed" and not self._stopped

    @property
    def health(self) -> Health:
        """Return whether a connection would be lent now, since when, and why not."""
        return self._breaker.health

    async def start(self) -> None:
        """Try to connect once, START_WITHIN_S at most, then keep trying in the background.

        Raises only BadAddress.
        """
        await self._attempt(min(START_WITHIN_S, self._options.connect_timeout_s))
        self._tasks.start(self._stay_available(), "keep PostgreSQL available")

    async def wait_until_available(self) -> None:
        """Return when PostgreSQL has answered; bound it with a timeout of your own."""
        await self._here.wait()

    async def stop(self) -> None:
        """Close the idle connections; those in use are closed when their callers end."""
        await self._tasks.cancel()
        self._stopped = True
        idle, self._idle = self._idle, []
        await asyncio.gather(
            *(connection.close(timeout=STOP_TIMEOUT_S) for connection in idle),
            return_exceptions=True,
        )

    @asynccontextmanager
    async def connection(self, timeout_s: float) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection for at most `timeout_s` seconds, waiting for it included.

        At the deadline the connection is cut, not asked: a frozen server never holds its caller.
        A caller cancelled within a transaction may leave as late as that: asyncpg rolls back.
        Raises PostgresAway when no connection can be had, at the deadline, and when the server
        goes away within the block; other errors of asyncpg pass through.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        connection = await self._take(deadline)
        cut = loop.call_at(deadline, connection.terminate)
        try:
            yield connection
        except (OSError, *_DRIVER_ERRORS) as error:
            # While the connection is open, an OSError or a misuse is the caller's own.
            emptied = self._options.schema_wanted and isinstance(error, _EMPTIED)
            own = isinstance(error, OSError) or not (emptied or means_away(error))
            if own and not connection.is_closed():
                raise
            connection.terminate()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError from error  # it was hidden by a failing rollback
            late = loop.time() >= deadline
            reason = f"no answer within {timeout_s} s" if late else _describe(error)
            self._failed(reason, certainly=emptied)
            raise PostgresAway(reason) from error
        except asyncio.CancelledError:
            connection.terminate()  # it may be in the middle of a statement
            raise
        else:
            if not connection.is_closed():
                self._succeeded()
        finally:
            cut.cancel()
            self._give_back(connection)

    async def _take(self, deadline: float) -> asyncpg.Connection:
        if not self.available:
            raise PostgresAway(self._breaker.reason)
        if self._waiting >= self._options.waiters_max:
            raise PostgresAway("too many callers wait for a connection")
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise PostgresAway("every connection was in use") from None
        finally:
            self._waiting -= 1
        try:
            if not self.available:
                raise PostgresAway(self._breaker.reason)
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await self._connect(deadline)
        except BaseException:
            self._slots.release()
            raise

    def _give_back(self, connection: asyncpg.Connection) -> None:
        self._slots.release()
        if connection.is_closed():
            return
        full = len(self._idle) >= self._options.connections_max
        if full or not self.available or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)

    async def _connect(self, deadline: float) -> asyncpg.Connection:
        timeout_ms = int(self._options.statement_timeout_s * 1000)
        settings = {"application_name": "axon", "statement_timeout": str(timeout_ms)}
        if self._options.actor:
            settings[ACTOR_SETTING] = self._options.actor
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncpg.connect(self._url, server_settings=settings)
        except asyncpg.ClientConfigurationError as error:
            raise BadAddress(str(error)) from error
        except TimeoutError as error:
            self._failed("no connection in time")
            raise PostgresAway("no connection in time") from error
        except (OSError, *_DRIVER_ERRORS) as error:
            self._failed(_describe(error))
            raise PostgresAway(_describe(error)) from error

    def _failed(self, reason: str, certainly: bool = False) -> None:
        if certainly:
            self._breaker.trip(reason)
        else:
            self._breaker.failed(reason)
        if not self.available:
            self._here.clear()
            self._away.set()
            for connection in self._idle:
                connection.terminate()
            self._idle.clear()

    def _succeeded(self) -> None:
        self._breaker.succeeded()
        self._away.clear()
        self._here.set()

    async def _stay_available(self) -> None:
        while True:
            await self._away.wait()
            await asyncio.sleep(PROBE_EVERY_S)
            await self._attempt(self._options.connect_timeout_s)

    async def _attempt(self, within_s: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        try:
            connection = await self._connect(deadline)
            await self._refuse_useless(connection, deadline)
        except PostgresAway as error:
            self._breaker.trip(error.detail)
            self._away.set()
            return
        self._succeeded()
        self._idle.append(connection)

    async def _refuse_useless(self, connection: asyncpg.Connection, deadline: float) -> None:
        """Return when the server is what the options want; raises PostgresAway."""
        options = self._options
        if not (options.schema_wanted or options.writable_wanted or options.refusal):
            return
        try:
            async with asyncio.timeout_at(deadline):
                usable = await connection.fetchrow(_USABLE)
                refused = await options.refusal(connection) if options.refusal else ""
        except (TimeoutError, OSError, *_DRIVER_ERRORS) as error:
            connection.terminate()
            raise PostgresAway(_describe(error)) from error
        assert usable is not None
        if options.schema_wanted and not usable["schema"]:
            connection.terminate()
            raise PostgresAway("this database is without Axon's tables: emptied, or another one")
        if options.writable_wanted and not usable["writable"]:
            connection.terminate()
            raise PostgresAway("this database can only be read")
        if refused:
            connection.terminate()
            raise PostgresAway(refused)

    def _task_failed(self, name: str, error: BaseException) -> None:
        log.error("task-failed", f"{name}: {error!r}")


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
