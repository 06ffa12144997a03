"""The usage stream looked at, set back and sent again by the commands."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from axon.metering import PriceBook
from tests.app.test_accounts_commands import Commands
from tests.kafka.broker import Broker, read_topic
from tests.kafka.conftest import broker
from tests.metering.scene import DAY_US, START_US, ended, positioned, price, project

__all__ = ["broker"]


@pytest.fixture
def commands(
    tmp_path: Path, database: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> Commands:
    """Three turns on three days, all of them sent before."""
    monkeypatch.setenv("AXON_USAGE_STREAM_BROKERS", broker.address)

    async def prepare() -> None:
        book = PriceBook((price(),))
        days = [ended(f"day_{n}", book, accepted_us=START_US + n * DAY_US) for n in range(3)]
        await project(database, positioned(days))
        connection = await asyncpg.connect(database)
        await connection.execute("INSERT INTO projection.cursors VALUES ('one', 3)")
        await connection.execute("INSERT INTO metering.stream_cursors VALUES ('one', 3)")
        await connection.close()

    asyncio.run(prepare())
    return Commands(tmp_path, database)


def test_status_shows_how_far_it_is_and_rewind_sets_it_back(commands: Commands) -> None:
    states = {one["source"]: one for one in commands.json("usage-stream", "status")}
    assert set(states) == {"one", "corrections", "late"}
    assert (states["one"]["through"], states["one"]["waiting"]) == (3, 0)
    done = commands.run("usage-stream", "rewind", "--from", "2026-09-22T12:00")
    assert done.exit_code == 0 and "1 cursors" in done.stdout
    states = {one["source"]: one for one in commands.json("usage-stream", "status")}
    assert (states["one"]["through"], states["one"]["waiting"]) == (1, 2)
    assert "2026-09-22 14:13" in commands.run("usage-stream", "status").stdout


def test_replay_sends_a_range_from_here(commands: Commands, broker: Broker) -> None:
    done = commands.run("usage-stream", "replay", "--from", "2026-09-21", "--to", "2026-09-23")
    assert done.exit_code == 0 and "2 events sent" in done.stdout
    sent = [json.loads(one.value)["id"] for one in read_topic(broker.address)]
    assert sorted(sent) == ["day_0", "day_1"]


def test_replay_without_brokers_says_what_to_set(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AXON_USAGE_STREAM_BROKERS", "")
    done = commands.run("usage-stream", "replay", "--from", "2026-09-21", "--to", "2026-09-23")
    assert done.exit_code != 0 and "usage_stream.brokers" in str(done.exception)
