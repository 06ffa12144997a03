"""Accepting connections one at a time, so that the processes that share a socket share the work.

An event loop accepts all that wait at once. Of a burst, as when a product opens its connections,
one process would then get nearly everything, for as long as the connections live.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

from axon.base import TaskOwner
from axon.telemetry import log

_PAUSE_S = 1.0
"""How long nothing is accepted once the process has no file descriptor left."""

_NOT_NOW = (BlockingIOError, InterruptedError, ConnectionAbortedError)
"""A sibling was quicker, or the client has gone."""

_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class OneByOne:
    """A server on a socket that others accept from too: one connection for each round of the loop.

    Stands where uvicorn expects an asyncio server.
    """

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Begin to accept, on the running loop; `protocol` makes what serves a connection."""
        listener.setblocking(False)
        self._listener = listener
        self._protocol = protocol
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
        work = self._loop.connect_accepted_socket(self._protocol, accepted)
        self._tasks.start(work, "connection")

    def _go_on(self) -> None:
        self._resume = None
        self._loop.add_reader(self._listener.fileno(), self._accept)


def _connection_failed(name: str, error: BaseException) -> None:
    log.warning("http.connection", "A connection was lost at once.", error__message=repr(error))
