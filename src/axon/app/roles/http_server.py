"""uvicorn as Axon runs it: quiet, on our socket, stopped by us."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import uvicorn

from axon.app.roles.joined_writes import JoiningProtocol
from axon.app.roles.one_by_one import OneByOne
from axon.app.settings import HttpSettings
from axon.app.sockets import BACKLOG
from axon.gateway import Gateway

_KEEP_ALIVE_S = 75
"""Longer than the idle time-out of the usual load balancers (60 s), so that they close first."""


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
        self.shares_sockets = False
        """Whether other processes accept from the sockets given to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals: the role decides when to stop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open both doors."""
        shared = sockets or [] if self.shares_sockets else []
        await super().startup([] if shared else sockets)
        public = partial(self._connection, self.config)
        self.servers += [OneByOne(one, public) for one in shared]  # type: ignore[misc]
        if self._private_socket is not None:
            self._private.load()
            private = await asyncio.get_running_loop().create_unix_server(
                partial(self._connection, self._private), sock=self._private_socket, backlog=BACKLOG
            )
            self.servers.append(private)

    def _connection(self, config: uvicorn.Config) -> JoiningProtocol:
        return JoiningProtocol(config, self.server_state, self.lifespan.state)


def http_server(
    gateway: Gateway, settings: HttpSettings, private_socket: socket.socket | None
) -> HttpServer:
    """Return the server, not yet serving."""
    public = uvicorn.Config(
        gateway,
        loop="none",
        http=JoiningProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_s) or 1,
        limit_concurrency=settings.connections_max,
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
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    server = HttpServer(public, private, private_socket)
    server.shares_sockets = settings.processes > 1
    return server
