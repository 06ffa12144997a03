"""Traces on their way to a collector that is there, is away, or does not answer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

import axon.tracing.tracing as inside
from axon.base import SystemClock
from axon.journal import Journal, JournalOptions
from axon.records import TurnCompleted, encode
from axon.telemetry import render_metrics
from axon.tracing import Collector, Sampling, SpanOptions, Tracing, TurnFollower
from tests.journal.journals import INSTANCE, Opened
from tests.records.examples import EXAMPLES

WAIT_S = 20
ROOMY = JournalOptions(reserve_bytes=4096, low_water_bytes=4096)


class FakeCollector(ThreadingHTTPServer):
    """Keeps the traces it is sent, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status = 200
        self.sequences: list[int] = []
        self.asked = threading.Event()
        self.thaw = threading.Event()
        self.thaw.set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, FakeCollector)
        body = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
        server.asked.set()
        server.thaw.wait(WAIT_S)
        if server.status == 200:
            server.sequences += _conversation_places(body)
        self.send_response(server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _conversation_places(body: Any) -> list[int]:
    """Return which turns the whole spans of a batch are of, by the turns' ids."""
    spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    values = [
        attribute["value"]["stringValue"]
        for span in spans
        for attribute in span.get("attributes", ())
        if attribute["key"] == "axon.audit.record_id"
    ]
    return [int(value) for value in values]


@contextmanager
def collecting() -> Iterator[FakeCollector]:
    server = FakeCollector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.thaw.set()
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def following(root: Path, endpoint: str, timeout_s: float = 5.0) -> AsyncIterator[Tracing]:
    tracing = Tracing(
        TurnFollower(root / "journal", Sampling(ratio=1.0, slow_s=10.0), SpanOptions()),
        Collector(endpoint, {"authorization": "Bearer x"}, timeout_s),
        root / "traces.json",
        SystemClock(),
        {"service.name": "axon", "service.version": "0"},
    )
    running = asyncio.ensure_future(tracing.run())
    try:
        await until((root / "traces.json").exists)  # it has looked where the journals end
        yield tracing
    finally:
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
async def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Journal]:
    monkeypatch.setattr(inside, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(inside, "LOOK_AROUND_EVERY_S", 0.02)
    monkeypatch.setattr(inside, "FIRST_DELAY_S", 0.01)
    (tmp_path / "journal").mkdir()
    opened = Opened().open(tmp_path / "journal" / INSTANCE, ROOMY)
    yield opened
    await opened.close()


async def end_turns(journal: Journal, numbers: range) -> None:
    record = EXAMPLES[3]
    assert isinstance(record, TurnCompleted)
    futures = [
        journal.append(
            *encode(
                msgspec.structs.replace(
                    record, head=msgspec.structs.replace(record.head, turn_id=str(number))
                )
            )
        )
        for number in numbers
    ]
    await asyncio.gather(*futures)


def counted(name: str) -> float:
    (line,) = [one for one in render_metrics().decode().splitlines() if one.startswith(name + " ")]
    return float(line.split()[-1])


DROPPED = 'axon_telemetry_dropped_total{signal="traces"}'


async def until(holds: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.005)


async def test_every_turn_gets_there_once_and_the_next_process_goes_on(
    journal: Journal, tmp_path: Path
) -> None:
    with collecting() as collector:
        async with following(tmp_path, collector.endpoint) as tracing:
            await end_turns(journal, range(600))
            await until(lambda: len(set(collector.sequences)) == 600)
            assert tracing.health.up
        await end_turns(journal, range(600, 650))  # nobody follows now
        async with following(tmp_path, collector.endpoint):
            await until(lambda: len(set(collector.sequences)) == 650)
        assert set(collector.sequences) == set(range(650))


@pytest.mark.failure("telemetry", "down")
async def test_a_collector_that_was_away_gets_what_still_waits(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "TRACES_WAITING_MAX", 50)
    with collecting() as collector:
        collector.status = 503
        before = counted(DROPPED)
        async with following(tmp_path, collector.endpoint) as tracing:
            await end_turns(journal, range(80))
            await until(lambda: counted(DROPPED) - before == 30)
            await until(lambda: not tracing.health.up)
            assert counted("axon_traces_waiting") <= 50
            collector.status = 200
            await until(lambda: len(collector.sequences) == 50)
            await until(lambda: tracing.health.up)
        assert sorted(collector.sequences) == list(range(30, 80)), "the newest"


@pytest.mark.failure("telemetry", "frozen")
async def test_a_collector_that_does_not_answer_is_left_and_what_waits_is_bounded(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside, "TRACES_WAITING_MAX", 20)
    with collecting() as collector:
        collector.thaw.clear()
        before = counted(DROPPED)
        async with following(tmp_path, collector.endpoint, timeout_s=0.05) as tracing:
            await end_turns(journal, range(100))
            await until(lambda: collector.asked.is_set() and not tracing.health.up)
            await until(lambda: counted(DROPPED) - before == 80)
            assert "time" in tracing.health.reason.lower()
        collector.thaw.set()


@pytest.mark.failure("telemetry", "refusing")
async def test_what_a_collector_will_never_take_is_dropped_and_counted(
    journal: Journal, tmp_path: Path
) -> None:
    with collecting() as collector:
        collector.status = 400
        before = counted(DROPPED)
        async with following(tmp_path, collector.endpoint) as tracing:
            await end_turns(journal, range(5))
            await until(lambda: counted(DROPPED) - before == 5)
            assert "400" in tracing.health.reason
