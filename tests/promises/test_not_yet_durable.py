"""The engine works while the disk does; what it says is shown only once the turn is accepted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.reading import until_shown

MODEL = "fake-model"
PLANTED = Path(__file__).parents[1] / "chaos" / "planted"


@pytest.fixture(scope="module")
def hold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that keeps every flush of the journal waiting while it is there."""
    return tmp_path_factory.mktemp("hold") / "held"


@pytest.fixture(scope="module")
def held_axon(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str, hold: Path
) -> Iterator[RunningAxon]:
    """An Axon whose disk can be made to wait."""
    planted = {"PYTHONPATH": str(PLANTED), "PLANTED": "held-fsync", "HELD_WHILE": str(hold)}
    folder = tmp_path_factory.mktemp("held-axon")
    process, running = start_axon(folder, upstream_address, environment=planted)
    yield running
    hold.unlink(missing_ok=True)
    stop(process)


@pytest.mark.failure("journal-disk", "frozen")
@pytest.mark.parametrize("streamed", [False, True])
async def test_nothing_is_shown_before_the_acceptance_is_durable(
    held_axon: RunningAxon, hold: Path, streamed: bool
) -> None:
    marker = f"[[text:held {streamed}]]"
    async with held_axon.async_client() as client, asyncio.TaskGroup() as group:

        async def ask() -> str:
            if not streamed:
                return (await client.responses.create(model=MODEL, input=marker)).output_text
            stream = await client.responses.create(model=MODEL, input=marker, stream=True)
            deltas = [one async for one in stream if one.type == "response.output_text.delta"]
            return "".join(one.delta for one in deltas)

        hold.touch()
        asked = group.create_task(ask())
        await until_shown(held_axon.upstream, marker)
        await client.models.list()  # a whole round trip later
        assert not asked.done()
        hold.unlink()
        assert await asked == f"held {streamed}"
