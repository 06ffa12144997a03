"""Batches of seeds, each in a process of its own: what a world leaves behind ends with it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.simulation.planted import Plant
from tests.simulation.seeds import Outcome

BATCH_SEEDS = 25
"""A process keeps everything of every world it had, some ten megabytes each."""

_MEMORY = Path("/dev/shm")
"""Where files cost no disk, on Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What one batch at a time may use."""

    database: str
    """The address of a database with every migration applied."""
    valkey: str
    """The path of the socket of a Valkey that nobody else uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Which worlds are to happen."""

    first: int
    count: int
    plant: Plant = Plant.NONE
    hash_seed: int = 0
    """Of Python's own hashes: nothing may depend on it."""


def happen(lane: Lane, seeds: Seeds) -> Iterator[Outcome]:
    """Yield what became of each seed, in order; closing ends the process."""
    folder = tempfile.mkdtemp(prefix="axon-", dir=_MEMORY if _MEMORY.is_dir() else None)
    command = [sys.executable, "-m", "tests.simulation.runner"]
    command += ["--database", lane.database, "--valkey", lane.valkey, "--folder", folder]
    command += ["--first", str(seeds.first), "--seeds", str(seeds.count)]
    command += ["--plant", seeds.plant.value]
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        "PYTHONHASHSEED": str(seeds.hash_seed),
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield msgspec.json.decode(line, type=Outcome)
            if process.wait() != 0:
                raise RuntimeError(
                    f"a batch from seed {seeds.first} on ended with {process.returncode}"
                )
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def in_batches(seeds: Seeds) -> list[Seeds]:
    """Return the same seeds in batches."""
    end = seeds.first + seeds.count
    return [
        Seeds(first=first, count=min(BATCH_SEEDS, end - first), plant=seeds.plant)
        for first in range(seeds.first, end, BATCH_SEEDS)
    ]
