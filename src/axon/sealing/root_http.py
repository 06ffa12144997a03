"""Small HTTP calls to a key management system, each bounded in time and size."""

import asyncio
import http.client
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from axon.base import KIB
from axon.sealing.errors import KeyringRefused, KeyRootAway

ANSWER_BYTES_MAX = 64 * KIB
"""A wrapped key of 32 bytes takes a few hundred."""

CALLS_MAX = 8
"""Threads for calls; what asks for more waits."""

REASON_CHARACTERS = 200
"""Of what an answer says went wrong."""

_PORTS = {"http": 80, "https": 443}


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class RootHttp:
    """Calls one address, each on a connection of its own: they are few, and rarely two a minute."""

    def __init__(self, base_url: str, timeout_s: float, ca_path: str = "") -> None:
        """`ca_path` is a PEM file of who vouches for the server; empty: the system's.

        Raises KeyringRefused for an address or a file that cannot be used; blocks.
        """
        try:
            found = urlsplit(base_url)
            self._port = found.port or _PORTS[found.scheme]
            self._host = found.hostname or ""
        except (ValueError, KeyError):
            raise KeyringRefused("the root's address is no http:// or https:// address") from None
        self.authority = found.netloc.rpartition("@")[2]
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None
        if found.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=ca_path or None)
            except OSError as error:
                raise KeyringRefused(f"{ca_path}: {error}") from error
        self._threads = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="root")

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Return the answer, whatever its status; raises KeyRootAway when there is none in time.

        Who is cancelled, or waits for too long, breaks the connection off.
        """
        connection = self._connection()
        loop = asyncio.get_running_loop()
        calling = loop.run_in_executor(
            self._threads, _called, connection, (method, path), headers, body
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(calling)
        except TimeoutError:
            raise KeyRootAway(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise KeyRootAway(f"{type(error).__name__}: {error}"[:REASON_CHARACTERS]) from error
        finally:
            if not calling.done():
                calling.add_done_callback(_heard)
                _break_off(connection)

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._tls
        )


def _called(
    connection: http.client.HTTPConnection,
    target: tuple[str, str],
    headers: Mapping[str, str],
    body: bytes,
) -> Answer:
    method, path = target
    try:
        connection.request(method, path, body or None, dict(headers))
        response = connection.getresponse()
        content = response.read(ANSWER_BYTES_MAX + 1)
        if len(content) > ANSWER_BYTES_MAX:
            raise http.client.HTTPException(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        return Answer(response.status, content)
    finally:
        connection.close()


def _break_off(connection: http.client.HTTPConnection) -> None:
    """Wake the thread that reads, so that a server that drips does not hold it."""
    with suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)


def _heard(calling: "asyncio.Future[Answer]") -> None:
    """Take note of what nobody waits for any more: it is not asyncio's to report."""
    if not calling.cancelled():
        calling.exception()
