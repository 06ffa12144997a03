"""Asking for passages: what is asked, what is taken, and everything that can go wrong."""

import asyncio
import json

import pytest

from axon.base import SystemClock
from axon.inference import Passage, Proxies, Retriever, RetrieverOptions
from axon.inference.retriever import QUERY_CHARS_MAX, RUNNING_MAX
from tests.inference.raw_server import RawServer, whole

KELP = '{"passages":[{"text":"Kelp grows.","source":"sea.md"},{"text":"It is brown."}]}'
LONG_MS = 10_000

LOOP_TICK_US = 2_000
"""An event loop counts time in whole milliseconds, and may be that early."""
"""Longer than any test waits."""


def retriever(url: str, timeout_ms: int = LONG_MS, bytes_max: int = 2_000) -> Retriever:
    options = RetrieverOptions(
        url=url, key="secret", timeout_ms=timeout_ms, passages_max=2, bytes_max=bytes_max
    )
    return Retriever(options, Proxies(), SystemClock())


async def test_passages_come_with_their_sources() -> None:
    more = json.dumps({"passages": [{"text": str(number)} for number in range(5)]})
    async with RawServer(whole(KELP), whole(more), whole('{"passages":[]}')) as server:
        asking = retriever(f"{server.origin}/find")
        found = await asking.find("x" * QUERY_CHARS_MAX + "y", "org_1", "07")
        assert found.outcome == "found" and found.took_us > 0
        assert found.passages == (Passage("Kelp grows.", "sea.md"), Passage("It is brown.", ""))
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /find HTTP/1.1") and b"authorization: Bearer secret" in head
        query = "x" * QUERY_CHARS_MAX
        expected = {"query": query, "passages_max": 2, "org": "org_1", "user": "07"}
        assert json.loads(body) == expected
        assert [one.text for one in (await asking.find("q", "o", "u")).passages] == ["0", "1"]
        assert (await asking.find("q", "o", "u")).outcome == "nothing"
        await asking.close()


@pytest.mark.failure("retriever", "corrupt")
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (whole("{"), "failed"),
        (whole('{"passages":[{"text":5}]}'), "failed"),
        (whole('{"passages":[{"text":"\\ud800"}]}'), "failed"),
        (b"nonsense\r\n\r\n", "failed"),
        (whole(json.dumps({"passages": [{"text": "x" * 3_000}]})), "too_large"),
        (whole("x" * 5 * 2**20), "too_large"),
    ],
)
async def test_what_is_no_answer_or_too_long_is_not_used(answer: bytes, outcome: str) -> None:
    async with RawServer(answer) as server:
        asking = retriever(server.origin)
        found = await asking.find("q", "o", "u")
        assert (found.outcome, found.passages) == (outcome, ())
        await asking.close()


@pytest.mark.failure("retriever", "down")
@pytest.mark.failure("retriever", "refusing")
async def test_one_that_is_away_is_left_alone_and_found_again() -> None:
    no = whole("{}", "500 No")
    gone = (None, None)  # on a connection that was kept, and on the fresh one after it
    async with RawServer(
        no, whole("{}", "403 No"), *gone, no, no, whole(KELP), close=False
    ) as server:
        asking = retriever(server.origin)
        outcomes = [(await asking.find("q", "o", "u")).outcome for _ in range(6)]
        assert outcomes == ["failed"] * 5 + ["away"]
        health = asking.health
        assert not health.up and "500" in health.reason
        found = await asking.find("q", "o", "u")
        while found.outcome == "away":
            await asyncio.sleep(0.05)
            found = await asking.find("q", "o", "u")
        health = asking.health
        assert found.outcome == "found" and health.up
        await asking.close()


class Silent:
    """Takes requests, and answers none by itself."""

    def __init__(self) -> None:
        self.asked: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Silent":
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        self.asked.append(writer)

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self.asked:
            writer.close()
        await asyncio.gather(*(one.wait_closed() for one in self.asked), return_exceptions=True)
        await self._server.wait_closed()


@pytest.mark.failure("retriever", "frozen")
@pytest.mark.failure("retriever", "slow")
async def test_one_that_says_nothing_is_waited_for_as_long_as_is_set() -> None:
    async with Silent() as server:
        asking = retriever(server.url, timeout_ms=200)
        found = await asking.find("q", "o", "u")
        assert found.outcome == "slow"
        assert found.took_us >= 200_000 - LOOP_TICK_US
        await asking.close()


async def test_too_many_at_once_go_on_without() -> None:
    async with Silent() as server:
        asking = retriever(server.url)
        waiting = [asyncio.ensure_future(asking.find("q", "o", "u")) for _ in range(RUNNING_MAX)]
        while len(server.asked) < RUNNING_MAX:
            await asyncio.sleep(0.01)
        assert (await asking.find("q", "o", "u")).outcome == "busy"
        for writer in server.asked:
            writer.write(whole(KELP))
        assert {found.outcome for found in await asyncio.gather(*waiting)} == {"found"}
        await asking.close()
