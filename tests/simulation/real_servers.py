"""The real PostgreSQL and Valkey behind the simulated network, asked one statement at a time.

Time stands still in the world while they answer, so however quick they are, nothing depends on it.
"""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
import hiredis

T = TypeVar("T")

ANSWER_WITHIN_S = 20.0
"""Of real time, and far more than any statement takes."""

SETTINGS = {"lock_timeout": "10ms", "statement_timeout": "20s", "synchronous_commit": "off"}
"""Who holds a lock stands still, so there is no use in waiting for one."""

_connect_for_real = asyncpg.connect

_TABLES = """
SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables
WHERE schemaname IN ('accounts', 'conversations', 'projection', 'sealing')
"""


class RealPostgres:
    """The database all worlds of one runner use, one after the other."""

    def __init__(self, url: str) -> None:
        """`url` is that of a database with every migration applied."""
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._idle: list[asyncpg.Connection] = []
        connection = self.take()
        tables: str = self.ask(connection.fetchval(_TABLES))
        self._empty = f"TRUNCATE {tables}"
        self._wipe = "; ".join(f"DELETE FROM {table}" for table in tables.split(", "))
        self._worlds = 0
        self.give_back(connection)

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the answer; everything else stands still until then."""
        running = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return self._loop.run_until_complete(work)
        finally:
            asyncio._set_running_loop(running)

    def take(self) -> asyncpg.Connection:
        """Return a connection that nobody uses."""
        if self._idle:
            return self._idle.pop()
        return self.ask(_connect_for_real(self._url, server_settings=SETTINGS))

    def give_back(self, connection: asyncpg.Connection) -> None:
        """End what was begun on it and keep it for the next."""
        if connection.is_in_transaction():
            self.ask(connection.execute("ROLLBACK"))
        self._idle.append(connection)

    def wipe(self) -> None:
        """Empty every table, for the next world."""
        connection = self.take()
        self._worlds += 1
        again = self._worlds % 20 == 1
        self.ask(connection.execute(self._empty if again else self._wipe))
        self.give_back(connection)


class RealValkey:
    """The Valkey all worlds of one runner use."""

    def __init__(self, path: str) -> None:
        """Connect to its unix socket."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_WITHIN_S)
        self._socket.connect(path)

    def exchange(self, commands: bytes, count: int) -> bytes:
        """Return the answers to so many commands, as bytes."""
        self._socket.sendall(commands)
        reader = hiredis.Reader(notEnoughData=self)
        answers = b""
        while count:
            data = self._socket.recv(1 << 20)
            answers += data
            reader.feed(data)
            while reader.gets() is not self:
                count -= 1
        return answers

    def call(self, *parts: Any) -> Any:
        """Return the answer to one command."""
        reader = hiredis.Reader()
        reader.feed(self.exchange(hiredis.pack_command(parts), 1))
        answer = reader.gets()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wipe(self) -> None:
        """Forget keys and functions."""
        self.call("FLUSHALL")
        self.call("FUNCTION", "FLUSH")

    def memory(self) -> list[tuple[bytes, bytes]]:
        """Return every key with what Valkey keeps of it."""
        return [(key, self.call("DUMP", key)) for key in sorted(self.call("KEYS", "*"))]

    def remember(self, memory: list[tuple[bytes, bytes]]) -> None:
        """Have these keys and no others."""
        self.call("FLUSHALL")
        for key, dump in memory:
            self.call("RESTORE", key, 0, dump)
