"""Opens connections to an upstream: plain, over TLS, and through a forward proxy."""

import asyncio
from collections.abc import Callable
from typing import cast

from axon.base import KIB
from axon.inference.errors import ConnectFailed
from axon.inference.http.connection import Connection
from axon.inference.http.target import Target

_TUNNEL_HEAD_BYTES_MAX = 8 * KIB
"""A proxy's answer to CONNECT is a few lines."""


async def dial(target: Target, make: Callable[[], Connection], within_s: float) -> Connection:
    """Return a new connection, its host name resolved anew; raise ConnectFailed.

    `within_s` bounds resolving, connecting, the proxy's answer and the TLS handshake together.
    """
    made: list[Connection] = []

    def remember() -> Connection:
        made.append(make())
        return made[-1]

    try:
        async with asyncio.timeout(within_s):
            if target.proxy and target.tls:
                connection = await _tunnel(target, remember())
            else:
                host, port = target.proxy or (target.host, target.port)
                _, connection = await asyncio.get_running_loop().create_connection(
                    remember, host, port, ssl=target.tls, server_hostname=_server_name(target)
                )
            made.clear()
            return connection
    except TimeoutError:
        raise ConnectFailed(f"not within {within_s:g} s") from None
    except (OSError, UnicodeError) as error:  # refused, unresolved, failed TLS, impossible name
        raise ConnectFailed(str(error)) from error
    finally:
        for left in made:  # cancelled or late, with a transport already in hand
            if hasattr(left, "transport"):
                left.close()


def _server_name(target: Target) -> str | None:
    return target.host if target.tls else None


class _Tunnel(asyncio.Protocol):
    """Asks a proxy to connect to the target and waits for its yes."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._answer = b""
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send CONNECT."""
        host = self._authority
        cast(asyncio.Transport, transport).write(
            f"CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Read the answer; nothing may follow it before the TLS handshake."""
        self._answer += data
        if self.open.done():
            return
        if self._answer.endswith(b"\r\n\r\n"):
            status_line = self._answer.partition(b"\r\n")[0]
            if status_line.split(b" ")[1:2] == [b"200"]:
                self.open.set_result(None)
            else:
                self._refuse(f"the proxy said {status_line.decode(errors='replace')}")
        elif len(self._answer) > _TUNNEL_HEAD_BYTES_MAX:
            self._refuse("the proxy's answer is too long")

    def connection_lost(self, error: Exception | None) -> None:
        """Fail unless the tunnel stands."""
        self._refuse(str(error or "the proxy closed the connection"))

    def _refuse(self, why: str) -> None:
        if not self.open.done():
            self.open.set_exception(ConnectionRefusedError(why))


async def _tunnel(target: Target, connection: Connection) -> Connection:
    assert target.proxy is not None
    assert target.tls is not None
    loop = asyncio.get_running_loop()
    transport, tunnel = await loop.create_connection(
        lambda: _Tunnel(f"{target.host}:{target.port}"), *target.proxy
    )
    try:
        await tunnel.open
        secure = await loop.start_tls(
            transport, connection, target.tls, server_hostname=target.host
        )
        assert secure is not None
        connection.connection_made(secure)
    except BaseException:
        transport.abort()
        raise
    return connection
