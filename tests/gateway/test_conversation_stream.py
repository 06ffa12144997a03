"""Sending a conversation's events: signs of life, and clients that do not read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from axon.conversations import Followed, Update
from axon.gateway import conversation_events
from axon.gateway.call import Call
from axon.gateway.conversation_events import send_events
from tests.conversations.conftest import node, process
from tests.conversations.scene import KEY, Process

__all__ = ["node", "process"]

PATIENCE_S = 20.0


class Client:
    """The other end of one ASGI call."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        scope: dict[str, Any] = {"method": "GET", "path": "/", "headers": []}
        self.call = Call(scope, self._receive, self._send, "req_test")

    async def _receive(self) -> dict[str, Any]:
        raise AssertionError("nothing more is received")

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await self.reads.wait()
            self.pieces.put_nowait(message["body"])


@pytest.fixture
async def followed(process: Process) -> AsyncIterator[Followed]:
    conversation = await process.conversation("a")
    opened = await process.conversations.looking.follow(process.owner(), conversation, None)
    yield opened
    opened.close()


async def test_a_quiet_stream_says_that_it_lives(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_events, "KEEP_ALIVE_S", 0.0)
    client = Client()
    sending = asyncio.ensure_future(send_events(client.call, followed, "conv_1", PATIENCE_S))
    pieces = [await client.pieces.get() for _ in range(3)]
    assert pieces == [b"id: 1\n\n", b": keep-alive\n\n", b": keep-alive\n\n"]
    followed.close()
    await sending
    assert b"" in [client.pieces.get_nowait() for _ in range(client.pieces.qsize())]


@pytest.mark.parametrize("at", ["the beginning", "an event"])
async def test_a_client_that_does_not_read_is_cut(
    process: Process, followed: Followed, at: str
) -> None:
    client = Client()
    if at == "the beginning":
        client.reads.clear()
    sending = asyncio.ensure_future(send_events(client.call, followed, "conv_1", 0.01))
    if at == "an event":
        await client.pieces.get()
        client.reads.clear()
        name = followed._conversation.conversation_id
        await process.conversations.changing.update(process.owner(), KEY, name, Update(title="t"))
    await sending
    assert client.call.log == {"axon.cut": "slow client"}
