"""`make simulate SEEDS=10000`: so many worlds, and every promise kept in each.

Exits 0 when all were kept. A seed that fails is told with the command that repeats it.
"""

import argparse
import asyncio
import queue
import random
import shutil
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import asyncpg

from axon.app.embedded import EmbeddedPostgres, EmbeddedServer, EmbeddedValkey
from axon.app.migrations import migrate_all
from tests.simulation.batches import Lane, Seeds, happen, in_batches
from tests.simulation.planted import Plant
from tests.simulation.seeds import Outcome

BAR_CHARS = 40
WORDS_MAX = 600
"""Of each broken promise; the replay tells the rest."""


def main() -> int:
    """Run the seeds and print what became of them."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--seed", type=int, help="the first; drawn when left out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plant", default=Plant.NONE.value, choices=[one.value for one in Plant])
    parser.add_argument("--story", action="store_true", help="tell what happened in each world")
    chosen = parser.parse_args()
    first = random.SystemRandom().randrange(1 << 30) if chosen.seed is None else chosen.seed
    seeds = Seeds(first=first, count=chosen.seeds, plant=Plant(chosen.plant))
    print(f"seeds {first} to {first + chosen.seeds - 1}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="axon-"))
    try:
        with ExitStack() as servers:
            lanes = _start(folder, chosen.jobs, servers)
            outcomes = _run(lanes, seeds, chosen.story)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _verdict(outcomes, chosen.seeds)


def _start(folder: Path, jobs: int, servers: ExitStack) -> list[Lane]:
    """Return a lane for each job, with a database and a Valkey of its own."""
    embedded = EmbeddedPostgres(folder, ("fsync=off", "full_page_writes=off", "autovacuum=off"))
    server = EmbeddedServer(embedded.program(), embedded.url())
    servers.callback(server.kill)
    server.start()
    lanes = []
    for number in range(jobs):
        asyncio.run(_make_database(embedded.url("postgres"), f"lane_{number}"))
        database = embedded.url(f"lane_{number}")
        asyncio.run(migrate_all(database))
        data = folder / f"valkey_{number}"
        data.mkdir()
        cache = EmbeddedValkey(data)
        valkey = EmbeddedServer(cache.program(), cache.url())
        servers.callback(valkey.kill)
        valkey.start()
        lanes.append(Lane(database=database, valkey=str(cache.socket)))
    return lanes


async def _make_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()


def _run(lanes: list[Lane], seeds: Seeds, story: bool) -> list[Outcome]:
    """Let every lane take batches until none is left; tell how it goes."""
    waiting: queue.SimpleQueue[Seeds] = queue.SimpleQueue()
    for batch in in_batches(seeds):
        waiting.put(batch)
    told: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()

    def work(lane: Lane) -> None:
        try:
            while True:
                for outcome in happen(lane, waiting.get_nowait()):
                    told.put(outcome)
        except queue.Empty:
            pass
        finally:
            told.put(None)

    for lane in lanes:
        threading.Thread(target=work, args=(lane,), daemon=True).start()
    outcomes: list[Outcome] = []
    at_work = len(lanes)
    while at_work:
        outcome = told.get()
        if outcome is None:
            at_work -= 1
            continue
        outcomes.append(outcome)
        _tell(outcome, story)
        _show(len(outcomes), seeds.count, sum(bool(one.broken) for one in outcomes))
    print()
    return outcomes


def _tell(outcome: Outcome, story: bool) -> None:
    if outcome.broken or story:
        print(f"\rseed {outcome.seed}, {outcome.virtual_s:.0f} s{' ' * BAR_CHARS}")
        for line in outcome.story if story else ():
            print(f"  {line}")
    if outcome.broken:
        for broken in outcome.broken[:5]:
            print(f"  {broken[:WORDS_MAX]}")
        print(f"  replay: python -m tests.simulation.run --seeds 1 --story --seed {outcome.seed}")


def _show(done: int, count: int, broken: int) -> None:
    bar = "#" * (BAR_CHARS * done // count)
    print(f"\r[{bar:<{BAR_CHARS}}] {done}/{count}, broken {broken}", end="", flush=True)


def _verdict(outcomes: list[Outcome], count: int) -> int:
    """Print the sums and return the exit code."""
    broken = sum(bool(one.broken) for one in outcomes)
    print(
        f"{len(outcomes)} seeds, {sum(one.virtual_s for one in outcomes):.0f} s of their time,"
        f" {sum(one.acknowledged for one in outcomes)} acknowledgements,"
        f" {sum(one.deaths for one in outcomes)} deaths of the serving process; broken: {broken}"
    )
    return 0 if not broken and len(outcomes) == count else 1


if __name__ == "__main__":
    sys.exit(main())
