"""A whole Axon whose webhook's receiver is away: turns go on, and the alert arrives later."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.alerts.receiver import Receiver
from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.outages import healed

MODEL = "fake-model"
WITHIN_S = 150


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    started = await Receiver.started(tmp_path)
    yield started
    await started.stop()


@pytest.fixture
def alerting(
    tmp_path: Path, upstream_address: str, receiver: Receiver
) -> Iterator[tuple[RunningAxon, dict[str, str]]]:
    environment = {
        "AXON_ALERTS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "AXON_ALERTS_CA_PATH": str(receiver.ca_path),
        "AXON_ALERTS_LOOK_EVERY_S": "1",
    }
    data = tmp_path / "data"
    process, running = start_axon(data, upstream_address, environment=environment)
    yield running, {**os.environ, **environment, "AXON_DATA": str(data)}
    stop(process)


async def command(environment: dict[str, str], *words: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "axon.app.cli", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.mark.failure("webhooks", "at-start")
@pytest.mark.failure("webhooks", "down")
async def test_an_alert_of_a_limit_reaches_a_receiver_that_was_away(
    alerting: tuple[RunningAxon, dict[str, str]], receiver: Receiver
) -> None:
    axon, environment = alerting
    await healed(axon.origin)
    words = ("--org", "development", "--measure", "requests", "--period", "day")
    await command(environment, "limits", "set", "few", *words, "--amount", "4", "--kind", "soft")
    await command(environment, "webhooks", "add", receiver.url)
    await receiver.stop()
    async with axon.async_client() as client, asyncio.timeout(WITHIN_S):
        while '"waiting"' not in await command(environment, "alerts", "deliveries", "--json"):
            answer = await client.responses.create(model=MODEL, input="x")
            assert answer.status == "completed"
        while '"attempts":0' in await command(environment, "alerts", "deliveries", "--json"):
            pass  # each look is a process, which paces this
        assert receiver.got == []
        await receiver.start()
        # By itself it comes after five seconds, or after five minutes where this took longer.
        for line in (await command(environment, "alerts", "list", "--json")).splitlines():
            await command(environment, "alerts", "redeliver", json.loads(line)["alert_id"])
        while not receiver.got:
            await asyncio.sleep(0.05)
    assert receiver.got[0].body.startswith(b'{"type":"limit.used.')
