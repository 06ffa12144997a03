"""Near a bound new turns are refused before anything is accepted, and soon taken again."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.promises.raw_client import MODEL, WAIT_S, Answer, RawClient, metric, until_metric
from tests.promises.reading import shown_to_the_model

PLANTED = Path(__file__).parents[1] / "chaos" / "planted"
ENTRIES_ADMITTED = 64
"""Entries that may wait for the journal's disk before new turns are refused: half of its queue."""
JOBS_WAITING_MAX = 1024
PLACES = 100
MIB = 1 << 20
SPARE_BYTES = 2 << 30
"""What other programs may write to the same disk while the test runs."""


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that keeps every flush of the journal waiting while it is there."""
    return tmp_path_factory.mktemp("hold") / "held"


@pytest.fixture(scope="module")
def narrow(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str, hold: Path
) -> Iterator[RunningAxon]:
    """An Axon with little room everywhere, on a disk that can be made to wait."""
    folder = tmp_path_factory.mktemp("narrow")
    free = shutil.disk_usage(folder).free
    little = {
        "PYTHONPATH": str(PLANTED),
        "PLANTED": "held-fsync",
        "HELD_WHILE": str(hold),
        "AXON_JOURNAL_QUEUE_ENTRIES_MAX": str(2 * ENTRIES_ADMITTED),
        "AXON_JOURNAL_LOW_WATER_BYTES": str(max(64 * MIB, free - SPARE_BYTES)),
        "AXON_UPSTREAM_SLOTS": "1",
        "AXON_HTTP_CONNECTIONS_MAX": str(PLACES),
        "AXON_HTTP_BODIES_BYTES_MAX": str(MIB),
        "AXON_LOG_LEVEL": "warning",
    }
    process, running = start_axon(folder, upstream_address, environment=little)
    yield running
    hold.unlink(missing_ok=True)
    stop(process)


class Engine(NamedTuple):
    """An engine of our own, and the Axon before it, which gives it one turn at a time."""

    process: "subprocess.Popen[str]"
    axon: RunningAxon


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that may be frozen."""
    little = {"AXON_UPSTREAM_SLOTS": "1", "AXON_LOG_LEVEL": "warning"}
    process, address = start_upstream()
    with process:
        up, running = start_axon(tmp_path_factory.mktemp("engine"), address, environment=little)
        yield Engine(process, running)
        process.send_signal(signal.SIGCONT)
        stop(up)
        process.kill()


@pytest.fixture
async def client(narrow: RunningAxon) -> AsyncIterator[RawClient]:
    async with RawClient(narrow) as opened:
        yield opened


def turn(client: RawClient, text: str) -> bytes:
    return client.post("/v1/responses", {"model": MODEL, "input": text})


def refused(answer: Answer, code: str) -> bool:
    """Return whether it is a refusal that passes; each of them says when to come back."""
    if answer.status == 200:
        return False
    assert (answer.status, answer.code) == (503, code)
    assert int(answer.headers["retry-after"]) >= 1
    assert int(answer.headers["retry-after-ms"]) >= 1
    return True


async def until_served(client: RawClient, code: str) -> None:
    """Wait until a turn is taken again; until then each is refused in the same way."""
    async with asyncio.timeout(WAIT_S):
        while refused(await client.ask(turn(client, "[[text:again]]")), code):
            await asyncio.sleep(0.05)


@pytest.mark.failure("journal-disk", "slow")
async def test_a_journal_that_waits_for_its_disk(
    narrow: RunningAxon, client: RawClient, hold: Path
) -> None:
    async with AsyncExitStack() as stack:
        many = [
            await stack.enter_async_context(RawClient(narrow)) for _ in range(ENTRIES_ADMITTED + 1)
        ]
        hold.touch()
        for one in many:
            await one.send(turn(one, "[[text:kept]]"))
        ready = client.head("GET", "/readyz")
        async with asyncio.timeout(WAIT_S):
            while (await client.ask(ready)).status == 200:
                await asyncio.sleep(0.02)
        for _ in range(10):
            assert refused(await client.ask(turn(client, "[[text:never]]")), "journal_full")
        assert (await client.ask(client.head("GET", "/healthz"))).status == 200
        hold.unlink()
        answers = [await one.answer() for one in many]
    late = [answer for answer in answers if refused(answer, "journal_full")]
    assert len(answers) - len(late) >= ENTRIES_ADMITTED
    assert not await asyncio.to_thread(shown_to_the_model, narrow.upstream, "[[text:never]]")
    await until_served(client, "journal_full")
    assert (await client.ask(client.head("GET", "/readyz"))).status == 200


@pytest.mark.failure("journal-disk", "full")
async def test_a_disk_that_is_nearly_full(narrow: RunningAxon, client: RawClient) -> None:
    ballast = narrow.data / "ballast"
    with ballast.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, 2 * SPARE_BYTES)
        except OSError as error:
            ballast.unlink()
            pytest.skip(f"the disk cannot set space aside: {error}")
    try:
        async with asyncio.timeout(WAIT_S):
            while not refused(await client.ask(turn(client, "[[text:before]]")), "disk_low"):
                await asyncio.sleep(0.05)
        assert refused(await client.ask(turn(client, "[[text:refused on disk]]")), "disk_low")
        assert (await client.ask(client.head("GET", "/v1/models"))).status == 200
    finally:
        ballast.unlink()
    assert not await asyncio.to_thread(shown_to_the_model, narrow.upstream, "refused on disk")
    await until_served(client, "disk_low")


@pytest.mark.failure("queue", "full")
@pytest.mark.failure("engine", "frozen")
async def test_more_jobs_than_may_wait(engine: Engine) -> None:
    axon = engine.axon
    waiting = 'axon_queue_jobs_waiting{queue="in_process"}'
    async with AsyncExitStack() as stack:
        late = await stack.enter_async_context(RawClient(axon))
        engine.process.send_signal(signal.SIGSTOP)
        many = []
        for _ in range(1 + JOBS_WAITING_MAX):  # one is with the engine
            many.append(await stack.enter_async_context(RawClient(axon)))
            await many[-1].send(turn(many[-1], "[[text:waited]]"))
        await until_metric(axon, waiting, JOBS_WAITING_MAX)
        for _ in range(10):
            assert refused(await late.ask(turn(late, "[[text:never]]")), "server_overloaded")
        engine.process.send_signal(signal.SIGCONT)
        answers = [await one.answer() for one in many]
        assert [answer.status for answer in answers] == [200] * len(many)
        assert (await late.ask(turn(late, "[[text:after]]"))).status == 200
    assert await metric(axon, waiting) == 0
    assert not await asyncio.to_thread(shown_to_the_model, axon.upstream, "[[text:never]]")


async def test_more_connections_than_places(narrow: RunningAxon) -> None:
    async with AsyncExitStack() as stack:
        busy = [await stack.enter_async_context(RawClient(narrow)) for _ in range(PLACES)]
        for one in busy:  # in the middle of a request
            await one.send(turn(one, "[[text:busy]]")[:-1])
        async with RawClient(narrow) as one_more:
            answer = await one_more.ask(turn(one_more, "[[text:one more]]"))
            assert refused(answer, "server_overloaded")
            assert answer.headers["connection"] == "close"
            assert await one_more.rest() == b""
        for path in ("/healthz", "/readyz", "/status", "/metrics"):
            async with RawClient(narrow) as operator:
                assert (await operator.ask(operator.head("GET", path))).status == 200
                assert await operator.rest() == b""
        for one in busy:
            assert (await one.ask(b"}")).status == 200
        async with asyncio.timeout(WAIT_S):  # idle ones make room, after a second
            served = 503
            while served != 200:
                async with RawClient(narrow) as newcomer:
                    served = (await newcomer.ask(turn(newcomer, "[[text:new]]"))).status
                await asyncio.sleep(0.05)
        gone = [one for one in busy if one.reader.at_eof()]
        assert gone


async def test_more_bodies_than_memory_for_them(narrow: RunningAxon) -> None:
    length = 700_000
    text = "[[text:long]]".ljust(length, "x")
    body = json.dumps({"model": MODEL, "input": text}).encode()
    async with RawClient(narrow) as one, RawClient(narrow) as other:
        head = one.head("POST", "/v1/responses", content_length=len(body))
        await one.send(head + body[:-1])
        async with asyncio.timeout(WAIT_S):
            while await metric(narrow, "axon_http_bodies_bytes") < length:
                await asyncio.sleep(0.02)
        await other.send(head + body)
        assert refused(await other.answer(), "server_overloaded")
        assert (await other.ask(turn(other, "[[text:short]]"))).status == 200
        await one.send(body[-1:])
        await one.answer()
        assert await metric(narrow, "axon_http_bodies_bytes") == 0
