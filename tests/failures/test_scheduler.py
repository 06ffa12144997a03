"""A scheduler that is dead or frozen: no turn notices, and it is said."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from axon.app.doctor import examine
from axon.app.settings import load_settings
from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.outages import degraded, healed, processes_of, status

MODEL = "fake-model"


def pids_of_scheduler(axon: RunningAxon) -> list[int]:
    """Return what runs now; nothing for a moment after it was killed."""
    pids: dict[str, list[int]] = json.loads((axon.data / "up.json").read_text())["pids"]
    return pids.get("scheduler", [])


async def turns_go_on(axon: RunningAxon) -> None:
    async with axon.async_client() as client:
        made = await client.conversations.create()
        for _ in range(3):
            answer = await client.responses.create(model=MODEL, input="x", conversation=made.id)
            assert answer.status == "completed"


@pytest.mark.failure("scheduler", "frozen")
@pytest.mark.failure("scheduler", "slow")
async def test_a_frozen_scheduler_stops_no_turn(own_axon: RunningAxon) -> None:
    await healed(own_axon.origin)
    (pid,) = processes_of(own_axon, "scheduler")
    os.kill(pid, signal.SIGSTOP)
    try:
        await degraded(own_axon.origin, "scheduler", "no scheduler says")
        assert status(own_axon.origin)["elsewhere"] == []
        await turns_go_on(own_axon)
        settings = load_settings(environment={"AXON_DATA": str(own_axon.data)})
        found = {finding.part: finding for finding in await examine(settings)}
        assert found["scheduler"].state == "broken"
    finally:
        os.kill(pid, signal.SIGCONT)
    await healed(own_axon.origin)


@pytest.mark.failure("scheduler", "down")
async def test_a_killed_scheduler_is_started_again_and_no_turn_notices(
    own_axon: RunningAxon,
) -> None:
    await healed(own_axon.origin)
    (pid,) = processes_of(own_axon, "scheduler")
    os.kill(pid, signal.SIGKILL)
    await turns_go_on(own_axon)
    async with asyncio.timeout(60):
        while pids_of_scheduler(own_axon) in ([], [pid]):
            await asyncio.sleep(0.05)
    await healed(own_axon.origin)


async def test_a_node_that_is_to_have_none_says_so_and_misses_nothing(
    tmp_path: Path, upstream_address: str
) -> None:
    """One scheduler does the work of all nodes."""
    wanted = {"AXON_SCHEDULER_HERE": "false"}
    process, running = start_axon(tmp_path / "data", upstream_address, environment=wanted)
    try:
        while "projector" not in (found := status(running.origin))["dependencies"]:
            await asyncio.sleep(0.05)  # it has not looked yet
        await healed(running.origin)
        assert found["elsewhere"] == ["scheduler"]
        assert "scheduler" not in {*found["dependencies"], *running.pids}
        settings = load_settings(environment={"AXON_DATA": str(running.data), **wanted})
        (seen,) = [one for one in await examine(settings) if one.part == "scheduler"]
        assert (seen.state, "scheduler.here" in seen.seen) == ("ok", True)
    finally:
        stop(process)
