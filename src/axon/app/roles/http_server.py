"""uvicorn as Axon runs it: quiet, on our socket, stopped by us."""

import contextlib
from collections.abc import Iterator

import uvicorn

from axon.app.roles.joined_writes import JoiningProtocol
from axon.app.settings import HttpSettings
from axon.gateway import Gateway

_KEEP_ALIVE_S = 75
"""Longer than the idle time-out of the usual load balancers (60 s), so that they close first."""


class HttpServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the role that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals: the role decides when to stop."""
        yield


def http_server(gateway: Gateway, settings: HttpSettings) -> HttpServer:
    """Return the server, not yet serving."""
    config = uvicorn.Config(
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
    return HttpServer(config)
