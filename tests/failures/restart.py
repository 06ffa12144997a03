"""`make restart ARGS="--gib 1"`: kill everything behind a long journal, and see when it serves.

The projector stands still while turns with long questions fill the journal; then every process is
killed, the journal is dropped from the page cache, and Axon is started. Exits non-zero when the
first turn is answered too late, PostgreSQL does not catch up, or an acknowledged turn is not there.
"""

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openai import APIError, AsyncOpenAI

from axon.app.embedded import freeze
from axon.base import GIB, KIB, MIB
from axon.journal import read_cursor, read_durable
from bench.cores import cpu_seconds
from tests.chaos.engine import previous_of, question
from tests.chaos.installation import POWER, ROOT, Installation, NotReady
from tests.chaos.ledger import read_ledger
from tests.chaos.oracle import DRAIN_S, TIMEOUT_S
from tests.chaos.stored import read_stored
from tests.chaos.verdict import Verdict, judge

SERVES_WITHIN_S = 10.0
"""The target, from the start of `axon up` to the end of the first turn's answer."""

QUESTION_BYTES = 128 * KIB
CONTEXT_TOKENS = 400_000
"""Three questions of that length fit, so each turn is shown the one before it."""

PEOPLE = 32
FILLED_WITHIN_S = 1_800.0
CAUGHT_UP_WITHIN_S = 1_800.0
ENVIRONMENT = {"AXON_UPSTREAM_CONTEXT_WINDOW": str(CONTEXT_TOKENS)}

_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """What lay unprojected, and the seconds from the start until each thing was so."""

    journal_bytes: int
    entries: int
    """That PostgreSQL lacked when everything was killed."""
    nothing_s: float
    """The same start with nothing unprojected, just before: what the machine takes for that."""
    ready_s: float
    turn_s: float
    """The first turn was answered, in a conversation of before."""
    cpu_s: float
    """What the serving process had used by then; the rest was waiting, on a busy machine."""
    lag_then: int
    """Entries PostgreSQL lacked at that moment: projection goes on while turns are served."""
    caught_up_s: float
    verdict: Verdict

    def lines(self) -> list[str]:
        """Return the figures for people."""
        size = f"{self.journal_bytes / GIB:.2f} GiB of journal, {self.entries} entries"
        turn = f"ready after {self.ready_s:.1f} s, first turn answered after {self.turn_s:.1f} s"
        return [
            f"{size} unprojected, {self.verdict.acknowledged} turns acknowledged",
            f"with nothing unprojected: ready after {self.nothing_s:.1f} s",
            f"{turn} (PostgreSQL then lacked {self.lag_then} entries)",
            f"CPU time of the serving process by then: {self.cpu_s:.1f} s",
            f"PostgreSQL had everything after {self.caught_up_s:.1f} s",
            str(self.verdict),
        ]


def run_restart(
    journal_bytes: int, installation: Installation, say: Callable[[str], None]
) -> Restarted:
    """Fill, kill, start and return what was measured; raises NotReady."""
    installation.wait_ready()
    installation.wait_projected()
    nothing_s = _start_again(installation)
    say(f"with nothing unprojected: ready after {nothing_s:.1f} s")
    for pid in installation.pids("projector"):
        freeze(pid)
    _fill(journal_bytes, installation, say)
    size, entries = _size(installation), _lag(installation)
    say(f"{size / MIB:.0f} MiB, {entries} entries; killing everything")
    ready_s = _start_again(installation)
    began_s = time.monotonic() - ready_s
    asyncio.run(_take_turn(installation))
    turn_s = time.monotonic() - began_s
    cpu_s = cpu_seconds(tuple(installation.pids("serving")))
    lag_then = _lag(installation)
    say(f"serving after {turn_s:.1f} s; PostgreSQL lacks {lag_then} entries")
    _wait_caught_up(installation)
    caught_up_s = time.monotonic() - began_s
    installation.wait_projected()
    attempts = read_ledger(installation.ledger)
    stored = read_stored(installation.base_url, installation.api_key, attempts)
    return Restarted(
        journal_bytes=size,
        entries=entries,
        nothing_s=nothing_s,
        ready_s=ready_s,
        turn_s=turn_s,
        cpu_s=cpu_s,
        lag_then=lag_then,
        caught_up_s=caught_up_s,
        verdict=judge(attempts, stored.items, stored.endings),
    )


def _fill(journal_bytes: int, installation: Installation, say: Callable[[str], None]) -> None:
    """Let people chat until the journal is so long, and until what they asked is answered."""
    oracle = _start_oracle(installation)
    began_s = time.monotonic()
    told = 0
    try:
        while (size := _size(installation)) < journal_bytes:
            if time.monotonic() - began_s > FILLED_WITHIN_S or oracle.poll() is not None:
                raise NotReady(f"the journal has {size} bytes and grows no more")
            if size * 10 // journal_bytes > told:
                told = size * 10 // journal_bytes
                say(f"filling the journal: {size / MIB:.0f} of {journal_bytes / MIB:.0f} MiB")
            time.sleep(_POLL_S)
    finally:
        oracle.send_signal(signal.SIGTERM)
        code = oracle.wait(TIMEOUT_S + DRAIN_S)
    assert code == 0, "the oracle itself failed; its error is above"


def _start_again(installation: Installation) -> float:
    """Kill everything, start it, and return the seconds until it is ready."""
    installation.kill(POWER)
    _drop_from_cache(installation)
    began_s = time.monotonic()
    installation.wait_ready()
    return time.monotonic() - began_s


async def _take_turn(installation: Installation) -> None:
    """Have one turn in a conversation of before, as soon as one is answered; raises NotReady."""
    last = [one for one in read_ledger(installation.ledger) if one.acknowledged][-1]
    deadline_s = time.monotonic() + TIMEOUT_S
    async with AsyncOpenAI(
        base_url=installation.base_url, api_key=installation.api_key, max_retries=0
    ) as client:
        while True:
            try:
                text = await _answer(client, last.conversation)
            except APIError as error:
                if time.monotonic() > deadline_s:
                    raise NotReady("no turn is answered") from error
                await asyncio.sleep(_POLL_S)
                continue
            assert previous_of(text, "after-restart") == last.mark, "its history is wrong"
            return


async def _answer(client: AsyncOpenAI, conversation: str) -> str:
    stream = await client.responses.create(
        model="chaos",
        input=question("after-restart"),
        conversation=conversation,
        stream=True,
        truncation="auto",
    )
    text = ""
    async for event in stream:
        if event.type == "response.completed":
            text = event.response.output_text
    return text


def _wait_caught_up(installation: Installation) -> None:
    began_s = time.monotonic()
    while lag := _lag(installation):
        if time.monotonic() - began_s > CAUGHT_UP_WITHIN_S:
            raise NotReady(f"PostgreSQL still lacks {lag} entries")
        time.sleep(_POLL_S)


def _drop_from_cache(installation: Installation) -> None:
    """Let the next reader of the journal read from the disk, as after a reboot."""
    for path in installation.journals.glob("*/*.segment"):
        descriptor = os.open(path, os.O_RDWR)
        os.fdatasync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _size(installation: Installation) -> int:
    return sum(path.stat().st_size for path in installation.journals.glob("*/*.segment"))


def _lag(installation: Installation) -> int:
    journals = [folder for folder in installation.journals.glob("*") if folder.is_dir()]
    return sum(read_durable(folder) - read_cursor(folder) for folder in journals)


def _start_oracle(installation: Installation) -> "subprocess.Popen[bytes]":
    installation.ledger.touch()
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.chaos.oracle"]
    command += ["--base-url", installation.base_url, "--api-key", installation.api_key]
    command += ["--ledger", str(installation.ledger), "--people", str(PEOPLE)]
    command += ["--padding", str(QUESTION_BYTES * 3 // 4)]
    return subprocess.Popen(command, cwd=ROOT)


def main() -> int:
    """Run one restart in a fresh folder and print its figures."""
    parser = argparse.ArgumentParser(prog="make restart", description=__doc__)
    parser.add_argument("--gib", type=float, default=1.0, help="journal PostgreSQL does not have")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="axon-restart-"))
    print(f"files in {folder}", flush=True)
    installation = Installation(folder=folder, environment=ENVIRONMENT)
    try:
        found = run_restart(
            int(chosen.gib * GIB), installation, lambda text: print(text, flush=True)
        )
    finally:
        installation.stop()
    print(*found.lines(), sep="\n")
    for kind, findings in found.verdict.findings().items():
        for finding in findings[:10]:
            print(f"{kind}: {finding[:300]}")
    well = found.verdict.kept and found.turn_s < SERVES_WITHIN_S
    if well:
        shutil.rmtree(folder)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
