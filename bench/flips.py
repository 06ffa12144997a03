"""How long a flip of a flag takes to reach every serving process, and a web client of OpenFeature.

`python -m bench.flips` runs `axon up` with several serving processes and turns going through them,
flips a flag a hundred times, and asks each process by its own socket until it decides anew. With
Node and npm it also runs the published web client, which hears of changes on its stream. The bars
are for the time behind the acknowledgement; the time since the change was asked for is told beside.

Then it kills a flag that every turn has, again and again, and counts in the turns' records who
still had it later than 50 ms behind the acknowledgement: nobody may.
"""

import argparse
import asyncio
import http.client
import json
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import requests

from axon.app.embedded import EmbeddedPostgres
from axon.app.instances import private_socket_path
from bench.run import scratch
from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop

FLAG = "web-flag"
"""The one that the tests' web client asks for."""

TURN_FLAG = "killed-flag"
"""The one that every turn has until it is killed."""

NPM = Path(__file__).resolve().parents[1] / "tests" / "gateway" / "npm"
BARS_MS = {"process": 50.0, "web client": 250.0}
NAMES = (
    *("acknowledged", "process, since asked", "web client, since asked"),
    *("process", "web client"),
)
KILLED_WITHIN_US = 50_000
PATIENCE_S = 30.0
_AGAIN_S = 0.001
_VARIANTS = {"on": "yes", "off": "no"}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the private socket of a serving process."""

    def __init__(self, path: Path) -> None:
        super().__init__("axon", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(str(self._path))


class Seen:
    """What one process decides, asked again and again by a thread of its own."""

    def __init__(self, axon: RunningAxon, instance: str) -> None:
        """Nothing has been asked yet."""
        self._connection = _UnixConnection(private_socket_path(axon.data, instance))
        self._headers = {"authorization": f"Bearer {axon.api_key}"}

    def until(self, value: str) -> float:
        """Return the instant at which the process first decided so."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            path = f"/ofrep/v1/evaluate/flags/{FLAG}"
            self._connection.request("POST", path, b"{}", self._headers)
            if json.loads(self._connection.getresponse().read()).get("value") == value:
                return time.monotonic()
            time.sleep(_AGAIN_S)
        raise TimeoutError(f"no process decides {value}")


def flip(axon: RunningAxon, variant: str) -> None:
    """Change the flag; return once that is acknowledged."""
    _put(axon, FLAG, {"state": "ENABLED", "variants": _VARIANTS, "defaultVariant": variant})


def kill_switch(axon: RunningAxon, *, killed: bool) -> None:
    """Kill the flag of every turn, or let it live again; return once that is acknowledged."""
    definition = {
        "state": "ENABLED",
        "variants": {"on": {"sampling": {"seed": 1}}},
        "defaultVariant": "on",
        "metadata": {"axon.turn": True, "axon.killed": killed},
    }
    _put(axon, TURN_FLAG, definition)


def _put(axon: RunningAxon, flag: str, definition: dict[str, Any]) -> None:
    headers = {"authorization": f"Bearer {axon.api_key}"}
    body = {"definition": definition}
    answer = requests.put(f"{axon.base_url}/flags/{flag}", json=body, headers=headers, timeout=30)
    answer.raise_for_status()


@contextmanager
def load(axon: RunningAxon, clients: int) -> Iterator[list[int]]:
    """Run turns, one after the other for each client; lend how many each has done."""
    done, over = [0] * clients, threading.Event()

    def work(number: int) -> None:
        headers = {"authorization": f"Bearer {axon.api_key}"}
        body = {"model": "fake-model", "input": "Say something."}
        with requests.Session() as session:
            while not over.is_set():
                answer = session.post(
                    f"{axon.base_url}/responses", json=body, headers=headers, timeout=60
                )
                answer.raise_for_status()
                done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def web_client(axon: RunningAxon, folder: Path) -> Iterator["subprocess.Popen[str] | None"]:
    """Lend the published web client, which prints what it hears; None without Node or npm."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("without Node and npm: no web client")
        yield None
        return
    shutil.copytree(NPM, folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=folder, check=True)
    command = ["node", "--experimental-eventsource", "--no-warnings", "web.mjs"]
    asked = [*command, axon.origin, axon.api_key, str(sys.maxsize)]
    with subprocess.Popen(asked, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and json.loads(process.stdout.readline())
        yield process
        process.kill()


def measure(
    axon: RunningAxon, instances: list[str], web: "subprocess.Popen[str] | None", flips: int
) -> dict[str, list[float]]:
    """Flip, and return how many milliseconds each took to be seen, by who saw it since when."""
    seen = [Seen(axon, instance) for instance in instances]
    found: dict[str, list[float]] = {name: [] for name in NAMES}
    for number in range(flips):
        variant = "off" if number % 2 == 0 else "on"
        instants = [0.0] * len(seen)

        def look(
            place: int, one: Seen, value: str = _VARIANTS[variant], at: list[float] = instants
        ) -> None:
            at[place] = one.until(value)

        threads = [threading.Thread(target=look, args=pair) for pair in enumerate(seen)]
        for thread in threads:
            thread.start()
        began_s, began_wall_ms = time.monotonic(), time.time() * 1000
        flip(axon, variant)
        took_ms = (time.monotonic() - began_s) * 1000
        found["acknowledged"].append(took_ms)
        for thread in threads:
            thread.join()
        since_ms = [(instant - began_s) * 1000 for instant in instants]
        found["process, since asked"] += since_ms
        found["process"] += [max(0.0, one - took_ms) for one in since_ms]
        if web is not None and web.stdout is not None:
            heard = json.loads(web.stdout.readline())
            assert heard["value"] == _VARIANTS[variant]
            heard_ms = heard["at"] - began_wall_ms
            found["web client, since asked"].append(heard_ms)
            found["web client"].append(max(0.0, heard_ms - took_ms))
    return found


def kill(axon: RunningAxon, kills: int, done: list[int]) -> list[tuple[int, int]]:
    """Kill the flag under the turns that `done` counts; return, for each time, the instants between
    which nobody should have had it: behind the acknowledgement, and before it was let live."""
    dead = []
    for _ in range(kills):
        kill_switch(axon, killed=False)
        _more_turns(done)
        kill_switch(axon, killed=True)
        acknowledged_us = time.time_ns() // 1000
        _more_turns(done)
        dead.append((acknowledged_us, time.time_ns() // 1000))
    return dead


def _more_turns(done: list[int]) -> None:
    """Wait until every client has done two more turns, the second of which began meanwhile."""
    before = list(done)
    ends = time.monotonic() + PATIENCE_S
    while any(now < then + 2 for now, then in zip(done, before, strict=True)):
        if time.monotonic() > ends:
            raise TimeoutError("no more turns")
        time.sleep(_AGAIN_S)


async def _had_it(axon: RunningAxon, done: list[int]) -> list[int]:
    """Return when each turn began that had the flag, once all turns are in PostgreSQL."""
    connection = await asyncpg.connect(EmbeddedPostgres(axon.data).url())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await connection.fetchval("SELECT count(*) FROM metering.turns") < sum(done):
                await asyncio.sleep(0.1)
        rows = await connection.fetch(
            "SELECT accepted_us FROM flags.assignments WHERE flag = $1 AND variant = 'on'",
            TURN_FLAG,
        )
        return [row["accepted_us"] for row in rows]
    finally:
        await connection.close()


def report_kills(dead: list[tuple[int, int]], had_it: list[int]) -> int:
    """Print how late turns had what was killed; return how many had it too late."""
    late_us = [began - one for began in had_it for one, other in dead if one < began < other]
    too_late = sum(late > KILLED_WITHIN_US for late in late_us)
    print(
        f"{len(dead)} kills, {len(had_it)} turns that had the flag, {len(late_us)} of them behind"
        f" the acknowledgement, the latest {max(late_us, default=0) / 1000:.1f} ms;"
        f" later than {KILLED_WITHIN_US // 1000} ms: {too_late} (bar 0)"
    )
    return too_late


def main() -> None:
    """Measure and print; 1 when a bar is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--flips", type=int, default=100)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--processes", type=int, default=3)
    options.add_argument("--clients", type=int, default=4, help="who run turns meanwhile")
    asked = options.parse_args()
    missed = False
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        upstream, address = start_upstream()
        stack.callback(upstream.kill)
        process, axon = start_axon(folder / "axon", address, "--serving", str(asked.processes))
        stack.callback(stop, process)
        flip(axon, "on")
        web = stack.enter_context(web_client(axon, folder / "npm"))
        names = ["serving", *(f"serving-{place}" for place in range(2, asked.processes + 1))]
        with load(axon, asked.clients) as done:
            found = measure(axon, names, web, asked.flips)
            print(f"{asked.flips} flips, {asked.processes} processes, {sum(done)} turns meanwhile")
            dead = kill(axon, asked.kills, done)
        missed |= report_kills(dead, asyncio.run(_had_it(axon, done))) > 0
    for who, times in found.items():
        if len(times) > 1:
            p95 = statistics.quantiles(times, n=20)[-1]
            bar = BARS_MS.get(who)
            missed |= bar is not None and p95 > bar
            told = f", bar {bar:.0f}" if bar else ""
            median = statistics.median(times)
            print(f"{who:23} p50 {median:6.1f} ms, p95 {p95:6.1f}, max {max(times):6.1f}{told}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
