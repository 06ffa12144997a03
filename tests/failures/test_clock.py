"""Somebody sets the machine's clock while Axon runs: a day back, then two days ahead."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.outages import degraded, metrics, status
from tests.promises.reading import read_conversation_async

MODEL = "fake-model"
PLANTED = Path(__file__).parent / "planted"
DAY_S = 86_400


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that says by how many seconds the wall clock is ahead."""
    file = tmp_path_factory.mktemp("clock") / "ahead"
    file.write_text("0")
    return file


@pytest.fixture(scope="module")
def clock_axon(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str, ahead: Path
) -> Iterator[RunningAxon]:
    planted = {"PYTHONPATH": str(PLANTED), "CLOCK_AHEAD": str(ahead)}
    folder = tmp_path_factory.mktemp("clock-axon")
    process, running = start_axon(folder, upstream_address, environment=planted)
    yield running
    stop(process)


@pytest.mark.failure("clock", "lying")
async def test_a_clock_that_is_set_breaks_no_order_and_no_key(
    clock_axon: RunningAxon, ahead: Path
) -> None:
    async with clock_axon.async_client() as client:
        made = await client.conversations.create()
        responses = []
        for number, seconds in enumerate((0, -DAY_S, 2 * DAY_S, 0)):
            ahead.write_text(str(seconds))
            if seconds:
                await degraded(clock_axon.origin, "clock", f"by [{'-' if seconds < 0 else '+'}]")
            for _ in range(2):
                told = await client.responses.create(
                    model=MODEL, input=f"[[text:answer {number}]]", conversation=made.id
                )
                responses.append(told.id)
        read = await read_conversation_async(client, made.id)
        assert [one.text for one in read[1::2]] == [f"answer {n}" for n in range(4) for _ in "ab"]
        assert len(set(responses)) == 8
        other = await client.conversations.create()
        assert other.id > made.id, "ids still sort by when they were made"
        found = await asyncio.to_thread(status, clock_axon.origin)
        assert not {"postgresql", "valkey", "snapshot"} & set(found["degraded"])
    (line,) = [
        line
        for line in await asyncio.to_thread(metrics, clock_axon.origin)
        if line.startswith("axon_clock_steps_total ")
    ]
    assert float(line.split()[1]) >= 2
