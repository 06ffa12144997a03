"""Accepting connections one at a time, so that the processes that share a socket share the work.

An event loop accepts all that wait at once. Of a burst, as when a product opens its connections,
one process would then get nearly everything, for as long as the connections live. Here TLS begins
as well, whose handshakes nothing else bounds.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from axon.base import TaskOwner
from axon.telemetry import counter, log

_PAUSE_S = 1.0
"""How long nothing is accepted once the process has no file descriptor left."""

HANDSHAKES_MAX = 256
"""TLS handshakes of one process that are not over; one more takes the place of the oldest. They are
a millisecond's work each, so these are clients that do not answer."""

HANDSHAKE_S = 10.0
"""How long a handshake may take: as long as the head of a request, which comes after it."""

GOODBYE_S = 5.0
"""How long a client may take to say that it has seen the end of a TLS connection."""

_handshakes_failed = counter(
    "axon_tls_handshakes_failed_total",
    "TLS handshakes that came to nothing: of older versions, of scanners, of clients that left.",
)

_NOT_NOW = (BlockingIOError, InterruptedError, ConnectionAbortedError)
"""A sibling was quicker, or the client has gone."""

_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class OneByOne:
    """A server on a socket that others accept from too: one connection for each round of the loop.

    Stands where uvicorn expects an asyncio server.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Begin to accept, on the running loop; `protocol` makes what serves a connection."""
        listener.setblocking(False)
        self._listener = listener
        self._protocol = protocol
        self._tls = tls
        self._handshakes: dict[socket.socket, asyncio.Task[None]] = {}
        """Those that are not over, the oldest first."""
        self._loop = asyncio.get_running_loop()
        self._tasks = TaskOwner(_connection_failed)
        self._resume: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more; the socket itself stays open for the others."""
        self._loop.remove_reader(self._listener.fileno())
        if self._resume is not None:
            self._resume.cancel()

    async def wait_closed(self) -> None:
        """Return at once: nothing is left to wait for."""

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except _NOT_NOW:
            return
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self._loop.remove_reader(self._listener.fileno())
            self._resume = self._loop.call_later(_PAUSE_S, self._go_on)
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            self._begin_handshake(accepted, self._tls)
            return
        work = self._loop.connect_accepted_socket(self._protocol, accepted)
        self._tasks.start(work, "connection")

    def _begin_handshake(self, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        if len(self._handshakes) >= HANDSHAKES_MAX:
            self._handshakes.pop(next(iter(self._handshakes))).cancel()
        task = self._tasks.start(self._shake_hands(accepted, tls), "handshake")
        self._handshakes[accepted] = task

    async def _shake_hands(self, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=GOODBYE_S,
            )
        except OSError:  # ssl's errors and time-outs among them
            _handshakes_failed.inc()
        except asyncio.CancelledError:
            _handshakes_failed.inc()
            accepted.close()
            raise
        finally:
            self._handshakes.pop(accepted, None)

    def _go_on(self) -> None:
        self._resume = None
        self._loop.add_reader(self._listener.fileno(), self._accept)


def _connection_failed(name: str, error: BaseException) -> None:
    log.warning("http.connection", "A connection was lost at once.", error__message=repr(error))
