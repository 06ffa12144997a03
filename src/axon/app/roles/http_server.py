"""uvicorn as Axon runs it: quiet, on our socket, stopped by us."""

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn

from axon.app.roles.bounded_protocol import BoundedProtocol
from axon.app.roles.connections import ConnectionBounds, Connections
from axon.app.roles.joined_writes import JoiningProtocol
from axon.app.roles.one_by_one import OneByOne
from axon.app.settings import HttpSettings
from axon.app.sockets import BACKLOG
from axon.base import Clock
from axon.gateway import Gateway
from axon.telemetry import log

_PRIVATE_KEEP_ALIVE_S = 75
"""Longer than siblings keep a connection they do not use (55 s), so that they close first."""

FILES_OF_OUR_OWN = 256
"""Descriptors for journal, keys, stores, siblings and workers."""

_FILES_ENOUGH = 1 << 20
"""Stands for no limit at all."""


class HttpServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the role that runs it, with a second door.

    Through the private socket come the node's other serving processes, and nobody else.
    """

    def __init__(
        self, config: uvicorn.Config, private: uvicorn.Config, private_socket: socket.socket | None
    ) -> None:
        """Serve `config` on the sockets given to `serve`, and `private` on its own, if any."""
        super().__init__(config)
        self._private = private
        self._private_socket = private_socket
        self.tls: ssl.SSLContext | None = None
        """Of the sockets given to `serve`; None for plain HTTP."""
        self.shares_sockets = False
        """Whether other processes accept from the sockets given to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals: the role decides when to stop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open both doors."""
        own = sockets or [] if self.shares_sockets or self.tls is not None else []
        await super().startup([] if own else sockets)
        self.servers += [OneByOne(one, self._public, self.tls) for one in own]  # type: ignore[misc]
        if self._private_socket is not None:
            self._private.load()
            private = await asyncio.get_running_loop().create_unix_server(
                self._sibling, sock=self._private_socket, backlog=BACKLOG
            )
            self.servers.append(private)

    def _public(self) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = made(self.config, self.server_state, self.lifespan.state)
        return protocol

    def _sibling(self) -> JoiningProtocol:
        return JoiningProtocol(self._private, self.server_state, self.lifespan.state)


def http_server(
    gateway: Gateway,
    connections: Connections,
    settings: HttpSettings,
    private_socket: socket.socket | None,
) -> HttpServer:
    """Return the server, not yet serving; `connections` will know those of its clients."""
    public = uvicorn.Config(
        gateway,
        loop="none",
        http=partial(BoundedProtocol, connections, gateway.crowded),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=int(settings.drain_s) or 1,
    )
    # Its connections are counted where they come from: the siblings' own bound holds for them.
    private = uvicorn.Config(
        gateway.private,
        interface="asgi3",  # uvicorn takes a bound method for an older kind
        http=JoiningProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_PRIVATE_KEEP_ALIVE_S,
    )
    server = HttpServer(public, private, private_socket)
    server.shares_sockets = settings.processes > 1
    return server


def client_connections(settings: HttpSettings, files_max: int, clock: Clock) -> Connections:
    """Return the table of client connections, none yet; `files_max` descriptors may be open.

    A client's request opens at most one connection to an engine, so clients get half of them.
    """
    places = max(1, min(settings.connections_max, (files_max - FILES_OF_OUR_OWN) // 2))
    if places < settings.connections_max:
        log.warning(
            "http.few_files",
            "The limit of open files allows fewer connections than http.connections_max.",
            axon__connections__allowed=places,
        )
    bounds = ConnectionBounds(
        places=places,
        head_s=settings.head_s,
        body_s=settings.body_s,
        unread_s=settings.slow_client_s,
    )
    return Connections(bounds, clock)


def raise_file_limit() -> int:
    """Allow this process as many open files as the system lets it have; return how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it: then it stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return now if now != resource.RLIM_INFINITY else _FILES_ENOUGH
