"""Asking the node's other serving processes: all of them answer, or it is said that one did not."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from axon.base import SystemClock
from axon.gateway.sibling import (
    _FETCHED_BYTES_MAX,
    _IDLE_MAX,
    _IDLE_S_MAX,
    SiblingAway,
    SiblingConnection,
    Siblings,
)
from tests.gateway.sibling_process import (
    CLOSE,
    Arrived,
    SiblingProcess,
    always,
    ok,
    sibling_process,
)

QUESTION = "/internal/question"


@pytest.fixture
async def others(tmp_path: Path) -> AsyncIterator[list[SiblingProcess]]:
    """Two other processes."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                sibling_process(tmp_path / f"{name}.sock", always(ok(name.encode())))
            )
            for name in ("two", "three")
        ]


@pytest.fixture
async def siblings(others: list[SiblingProcess]) -> AsyncIterator[Siblings]:
    made = Siblings({other.path.stem: other.path for other in others}, SystemClock())
    yield made
    made.close()
    await asyncio.sleep(0)


async def test_every_sibling_is_asked_and_answers(
    siblings: Siblings, others: list[SiblingProcess]
) -> None:
    assert await siblings.ask(QUESTION, b"who?") == [b"two", b"three"]
    headers = {"host": "sibling", "content-length": "4"}
    for other in others:
        assert other.arrived == [Arrived("POST", QUESTION, headers, b"who?")]
    assert await siblings.ask(QUESTION, b"") == [b"two", b"three"]


async def test_without_siblings_there_is_nothing_to_know() -> None:
    assert await Siblings({}, SystemClock()).ask(QUESTION, b"") == []


async def test_a_sibling_that_ends_while_asked_is_asked_again(
    siblings: Siblings, others: list[SiblingProcess]
) -> None:
    others[0].answer = always(CLOSE, ok(b"again"))
    assert await siblings.ask(QUESTION, b"x") == [b"again", b"three"]
    assert len(others[0].arrived) == 2


@pytest.mark.parametrize(
    "answer",
    [
        CLOSE,
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"nonsense",
    ],
)
async def test_what_one_sibling_knows_is_not_left_out_in_silence(
    siblings: Siblings, others: list[SiblingProcess], answer: bytes
) -> None:
    others[1].answer = always(answer)
    with pytest.raises(SiblingAway):
        await siblings.ask(QUESTION, b"", within_s=0.3)


async def test_a_sibling_that_is_not_there_is_named(tmp_path: Path) -> None:
    siblings = Siblings({"gone": tmp_path / "gone.sock"}, SystemClock())
    with pytest.raises(SiblingAway, match="gone"):
        await siblings.ask(QUESTION, b"", within_s=0.1)


async def test_an_answer_is_bounded(siblings: Siblings, others: list[SiblingProcess]) -> None:
    others[0].answer = always(ok(b"x" * (_FETCHED_BYTES_MAX + 1)))
    with pytest.raises(SiblingAway):
        await siblings.ask(QUESTION, b"", within_s=0.5)
    others[0].answer = always(ok(b"x" * 100_000))
    assert len((await siblings.ask(QUESTION, b""))[0]) == 100_000


async def test_so_many_connections_are_kept_and_no_more(
    siblings: Siblings, others: list[SiblingProcess]
) -> None:
    count = _IDLE_MAX + 2
    together = asyncio.Barrier(count)

    async def all_at_once(_request: Arrived, writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(ok())

    others[0].answer = all_at_once
    sibling = siblings["two"]
    await asyncio.gather(*(sibling.fetch("POST", QUESTION, b"", 20) for _ in range(count)))
    assert others[0].connections == count
    while len(others[0].serving) > _IDLE_MAX:
        await asyncio.sleep(0.001)
    await asyncio.gather(*(sibling.fetch("POST", QUESTION, b"", 20) for _ in range(count)))
    assert others[0].connections == count + 2


async def test_connections_that_only_a_burst_needed_are_closed(
    others: list[SiblingProcess],
) -> None:
    """And without the collector of cycles, which the serving process seldom runs."""
    clock = SetClock()
    siblings = Siblings({"two": others[0].path}, clock)
    together = asyncio.Barrier(8)

    async def all_at_once(_request: Arrived, writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(ok())

    others[0].answer = all_at_once
    sibling = siblings["two"]
    await asyncio.gather(*(sibling.fetch("POST", QUESTION, b"", 20) for _ in range(8)))
    assert len(others[0].serving) == 8
    others[0].answer = always(ok())
    gc.collect()
    before = living()
    gc.disable()
    try:
        for clock.now_s in (_IDLE_S_MAX / 2, _IDLE_S_MAX):
            assert await siblings.ask(QUESTION, b"") == [b""]
        while len(others[0].serving) > 1:
            await asyncio.sleep(0.001)
        assert living() == before - 7
    finally:
        gc.enable()
    siblings.close()


def living() -> int:
    """Return how many connections to siblings there are, closed ones with them."""
    return sum(isinstance(one, SiblingConnection) for one in gc.get_objects())


class SetClock(SystemClock):
    """A clock whose monotonic time is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


async def test_a_connection_that_was_idle_for_long_is_not_trusted(
    others: list[SiblingProcess],
) -> None:
    clock = SetClock()
    siblings = Siblings({"two": others[0].path}, clock)
    for now_s, connections in ((0.0, 1), (_IDLE_S_MAX - 1, 1), (2 * _IDLE_S_MAX, 2)):
        clock.now_s = now_s
        assert await siblings.ask(QUESTION, b"") == [b"two"]
        assert others[0].connections == connections
    siblings.close()
