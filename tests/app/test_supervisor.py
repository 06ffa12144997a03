"""The supervisor restarts what dies, with backoff, and stops everything in order."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.app.embedded import Program
from axon.app.supervisor import Backoff, Change, RoleFailed, Supervisor
from axon.app.supervisor.backoff import FIRST_DELAY_S, HEALTHY_AFTER_S, LONGEST_DELAY_S
from axon.app.supervisor.supervisor import EARLY_DEATHS_MAX
from axon.base import SystemClock


class Changes:
    """The changes a supervisor told of, to be awaited one by one."""

    def __init__(self) -> None:
        self.all: list[Change] = []
        self._coming: asyncio.Queue[Change] = asyncio.Queue()

    def __call__(self, change: Change) -> None:
        self.all.append(change)
        self._coming.put_nowait(change)

    async def next(self, what: str, role: str) -> Change:
        async with asyncio.timeout(20):
            while True:
                change = await self._coming.get()
                if (change.what, change.role) == (what, role):
                    return change


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
async def supervisor(changes: Changes) -> AsyncIterator[Supervisor]:
    made = Supervisor(SystemClock(), changes)
    yield made
    made.kill()
    await made.stop()


def program(tmp_path: Path, role: str = "dummy", script: str = "exec sleep 600") -> Program:
    return Program(
        role=role, command=("sh", "-c", script), log_path=tmp_path / f"{role}.log", stop_within_s=5
    )


TOLD_AT_ITS_START = """
import signal, time
time.sleep(0.3)
signal.signal(signal.SIGUSR1, lambda *_: print("told", flush=True))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
time.sleep(600)
"""


async def test_a_held_signal_waits_for_a_process_that_still_starts(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    starting = Program(
        role="starting",
        command=(sys.executable, "-c", TOLD_AT_ITS_START),
        log_path=tmp_path / "starting.log",
        held=frozenset({signal.SIGUSR1}),
    )
    await supervisor.start(starting)
    os.kill((await changes.next("ready", "starting")).pid, signal.SIGUSR1)
    async with asyncio.timeout(20):
        while "told" not in (tmp_path / "starting.log").read_text():
            await asyncio.sleep(0.02)
    assert [change.what for change in changes.all] == ["started", "ready"]


def test_the_delay_doubles_up_to_its_bound_and_starts_over_after_a_healthy_life() -> None:
    backoff = Backoff()
    delays = [backoff.after_death(lived_s=0.01) for _ in range(8)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_DELAY_S, LONGEST_DELAY_S]
    assert backoff.after_death(lived_s=HEALTHY_AFTER_S) == FIRST_DELAY_S
    assert backoff.after_death(lived_s=0.01) == 2 * FIRST_DELAY_S


async def test_a_killed_process_is_started_again(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    await supervisor.start(program(tmp_path))
    first = await changes.next("ready", "dummy")
    os.kill(first.pid, signal.SIGKILL)
    ended = await changes.next("ended", "dummy")
    assert (ended.exit_code, ended.restart_in_s) == (-signal.SIGKILL, FIRST_DELAY_S)
    again = await changes.next("ready", "dummy")
    assert again.pid != first.pid
    assert supervisor.pids == {"dummy": [again.pid]}


async def test_every_early_death_makes_the_next_start_later(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    await supervisor.start(program(tmp_path, script="exit 7"))
    ends = [await changes.next("ended", "dummy") for _ in range(3)]
    assert [end.restart_in_s for end in ends] == [0.1, 0.2, 0.4]
    assert {end.exit_code for end in ends} == {7}


async def test_a_program_that_never_becomes_ready_is_given_up_with_its_last_words(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    async def never() -> bool:
        return False

    broken = Program(
        role="broken",
        command=("sh", "-c", "echo the disk is made of cheese; exit 1"),
        log_path=tmp_path / "log",
        is_ready=never,
    )
    with pytest.raises(RoleFailed, match="made of cheese"):
        await supervisor.start(broken)
    ends = [change for change in changes.all if change.what == "ended"]
    assert len(ends) == EARLY_DEATHS_MAX


async def test_a_program_that_cannot_be_launched_fails_its_start(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    absent = Program(role="absent", command=("/no/such/program",), log_path=tmp_path / "log")
    with pytest.raises(FileNotFoundError):
        await supervisor.start(absent)


async def test_of_two_programs_of_one_role_the_right_one_is_told_of_its_failure(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    async def never() -> bool:
        return False

    waits = Program(
        role="twin", instance="one", command=("sleep", "600"), log_path=None, is_ready=never
    )
    absent = Program(role="twin", instance="two", command=("/no/such/program",), log_path=None)
    waiting = supervisor.start(waits)
    with pytest.raises(FileNotFoundError):
        await supervisor.start(absent)
    assert not waiting.done()


async def test_a_restart_that_cannot_be_prepared_is_tried_again(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    attempts: list[int] = []

    def fails_the_second_time() -> None:
        attempts.append(1)
        if len(attempts) == 2:
            raise OSError("the folder is busy")

    script = ("sh", "-c", "exec sleep 600")
    prepared = Program(
        role="prepared",
        command=script,
        log_path=tmp_path / "log",
        before_start=fails_the_second_time,
    )
    await supervisor.start(prepared)
    os.kill((await changes.next("ready", "prepared")).pid, signal.SIGKILL)
    again = await changes.next("ready", "prepared")
    assert len(attempts) == 3
    assert supervisor.pids == {"prepared": [again.pid]}


async def test_everything_stops_in_the_reverse_of_the_order_it_was_started(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    roles = ["postgres", "valkey", "engine", "projector", "serving"]
    await asyncio.gather(*(supervisor.start(program(tmp_path, role)) for role in roles))
    pids = supervisor.pids
    await supervisor.stop()
    stopped = [change.role for change in changes.all if change.what == "stopped"]
    assert stopped == roles[::-1]
    for (pid,) in pids.values():
        assert not Path(f"/proc/{pid}").exists()


async def test_programs_of_one_role_have_names_and_stop_together(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    """Each ends only once the other was told to end as well."""
    told = [tmp_path / f"{number}" for number in range(2)]
    for own, other in (told, told[::-1]):
        script = f"trap 'touch {own}; while [ ! -e {other} ]; do sleep 0.01; done; exit 0' TERM"
        await supervisor.start(
            Program(
                role="twin",
                instance=f"twin-{own.name}",
                command=("sh", "-c", f"{script}; echo; sleep 600 & wait"),
                log_path=tmp_path / f"{own.name}.log",
                stop_within_s=20,
            )
        )
    assert len(supervisor.pids["twin"]) == 2
    while not all((tmp_path / f"{one.name}.log").read_bytes() for one in told):
        await asyncio.sleep(0.01)  # until both have set their traps
    await supervisor.stop()
    stopped = {change.name for change in changes.all if change.what == "stopped"}
    assert stopped == {"twin-0", "twin-1"}
    assert all(one.exists() for one in told)


async def test_a_frozen_process_is_stopped_too(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    await supervisor.start(program(tmp_path, script="trap 'exit 0' TERM; sleep 600 & wait"))
    pid = (await changes.next("ready", "dummy")).pid
    os.kill(pid, signal.SIGSTOP)
    await supervisor.stop()
    assert not Path(f"/proc/{pid}").exists()


async def test_a_process_that_ignores_being_stopped_is_killed_at_its_bound(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    deaf = Program(
        role="deaf",
        command=("sh", "-c", "trap '' TERM; while :; do sleep 600; done"),
        log_path=tmp_path / "log",
        stop_within_s=0.1,
    )
    await supervisor.start(deaf)
    pid = (await changes.next("ready", "deaf")).pid
    await supervisor.stop()
    assert not Path(f"/proc/{pid}").exists()


async def test_a_process_that_died_is_not_started_again_while_stopping(
    tmp_path: Path, supervisor: Supervisor, changes: Changes
) -> None:
    await supervisor.start(program(tmp_path))
    os.kill((await changes.next("ready", "dummy")).pid, signal.SIGKILL)
    await changes.next("ended", "dummy")
    await supervisor.stop()
    assert [change.what for change in changes.all].count("started") == 1
