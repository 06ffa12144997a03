"""What the processes without an HTTP door say of themselves, and who is believed to live."""

import asyncio
import os
from pathlib import Path

import msgspec

from axon.app.roles.told_state import FORGOTTEN_AFTER_S, SILENT_AFTER_S, ToldState, ToldStates
from axon.base import MICROS_PER_SECOND, SystemClock
from axon.stores import Health
from tests.journal.journals import TurnedClock

NOBODY = 1 << 22
"""No process has a number beyond the kernel's largest."""


def told(folder: Path, role: str, pid: int, ago_s: float = 0.0) -> None:
    at_us = SystemClock().now_us() - int(ago_s * MICROS_PER_SECOND)
    state = ToldState(role=role, pid=pid, at_us=at_us, dependencies={})
    (folder / f"{role}-{pid}.json").write_bytes(msgspec.json.encode(state))


async def test_a_process_is_heard_until_it_ends(tmp_path: Path) -> None:
    states = ToldStates(tmp_path / "states", SystemClock())
    assert states.read() == []
    health = Health(False, 5, "gone")
    telling = asyncio.ensure_future(states.keep_telling("worker", lambda: {"it": health}))
    async with asyncio.timeout(20):
        while not (found := await asyncio.to_thread(states.read)):
            await asyncio.sleep(0.01)
    (one,) = found
    assert (one.role, one.pid, one.dependencies) == ("worker", os.getpid(), {"it": health})
    assert "process_open_fds" in one.metrics, "what it counted is told"
    assert "axon_turns_running" not in one.metrics, "what it has nothing to do with is not"
    telling.cancel()
    await asyncio.wait([telling])
    assert states.read() == []


def test_the_word_of_a_dead_process_goes_when_another_speaks(tmp_path: Path) -> None:
    clock = TurnedClock()
    states = ToldStates(tmp_path, clock)
    told(tmp_path, "projector", NOBODY, ago_s=SILENT_AFTER_S + 1)
    (last,) = states.read()
    assert last.silent_for_s(clock.now_us()) > SILENT_AFTER_S, "it is missed, not forgotten"
    told(tmp_path, "projector", os.getpid())
    assert [one.pid for one in states.read()] == [os.getpid()]
    clock.ahead_us = int((FORGOTTEN_AFTER_S + 1) * MICROS_PER_SECOND)
    assert states.read() == []


def test_what_is_no_state_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "worker-1.json").write_bytes(b"{")
    (tmp_path / "worker-2.new").write_bytes(b"half")
    assert ToldStates(tmp_path, SystemClock()).read() == []
