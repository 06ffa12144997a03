"""Processes that share a listening socket share what waits there."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from axon.app.roles import one_by_one
from axon.app.roles.one_by_one import OneByOne
from axon.app.settings import HttpSettings
from axon.app.sockets import listening_socket

WAITING = 8


class Served(asyncio.Protocol):
    """Greets whoever connects."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        no_delay = transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY
        )
        transport.write(b"hello" if no_delay else b"slow")
        transport.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listening_socket(HttpSettings(port=0)) as opened:
        yield opened


def connect(listener: socket.socket, opened: ExitStack) -> socket.socket:
    client = opened.enter_context(socket.create_connection(listener.getsockname(), timeout=20))
    client.setblocking(False)
    return client


async def read(client: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(client, 100)


async def test_two_that_share_a_socket_take_turns(listener: socket.socket) -> None:
    counts = [0, 0]

    def counted(place: int) -> asyncio.Protocol:
        counts[place] += 1
        return Served()

    with ExitStack() as opened:
        clients = [connect(listener, opened) for _ in range(WAITING)]
        other = listener.dup()
        opened.enter_context(other)
        servers = [
            OneByOne(listener, lambda: counted(0)),
            OneByOne(other, lambda: counted(1)),
        ]
        for client in clients:
            assert await read(client) == b"hello"
        for server in servers:
            server.close()
            await server.wait_closed()
    assert counts == [WAITING // 2, WAITING // 2]


async def test_what_is_closed_accepts_no_more_and_leaves_the_rest_to_the_others(
    listener: socket.socket,
) -> None:
    server = OneByOne(listener, Served)
    server.close()
    with ExitStack() as opened:
        client = connect(listener, opened)
        await asyncio.sleep(0.01)
        other = OneByOne(listener, Served)
        assert await read(client) == b"hello"
        other.close()


async def test_without_a_file_descriptor_it_pauses(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_by_one, "_PAUSE_S", 0.02)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as opened:
        client = connect(listener, opened)
        server = OneByOne(listener, Served)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await asyncio.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await read(client) == b"hello"
        server.close()
