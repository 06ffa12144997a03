"""A client that does not read its stream is let go; its turn is finished and stored."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.reading import read_conversation_async

MODEL = "fake-model"
ANSWER_CHARACTERS = 6_000_000
"""More than the buffers of both ends hold, less than a request body may."""
CUT = "axon_slow_clients_cut_total 1.0"
TRIES_MAX = 600


@pytest.fixture
def impatient_axon(
    tmp_path_factory: pytest.TempPathFactory,
    upstream_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RunningAxon]:
    """An Axon that waits one second for a client."""
    monkeypatch.setenv("AXON_HTTP_SLOW_CLIENT_S", "1")
    monkeypatch.setenv("AXON_UPSTREAM_CONTEXT_WINDOW", "100000000")
    process, running = start_axon(tmp_path_factory.mktemp("slow"), upstream_address)
    yield running
    stop(process)


def metrics_of(axon: RunningAxon) -> str:
    with urllib.request.urlopen(f"{axon.origin}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


async def test_a_client_that_does_not_read_is_cut(impatient_axon: RunningAxon) -> None:
    async with impatient_axon.async_client() as client:
        conversation = await client.conversations.create()
        body = json.dumps(
            {
                "model": MODEL,
                "input": f"[[text:{'x' * ANSWER_CHARACTERS}]][[chunks:100]]",
                "conversation": conversation.id,
                "stream": True,
            }
        )
        head = f"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
        address = urlsplit(impatient_axon.base_url)
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((str(address.hostname), int(address.port or 0)))
            deaf.sendall(
                f"{head}authorization: Bearer {impatient_axon.api_key}\r\n\r\n{body}".encode()
            )
            for _ in range(TRIES_MAX):
                if CUT in await asyncio.to_thread(metrics_of, impatient_axon):
                    break
                await asyncio.sleep(0.05)
            assert CUT in await asyncio.to_thread(metrics_of, impatient_axon)
        messages = await read_conversation_async(client, conversation.id)
    assert [len(message.text) for message in messages[1:]] == [ANSWER_CHARACTERS]
