"""Runs seeds one after the other in this process; `python -m tests.simulation.run` starts some."""

import argparse
import gc
import io
import os
import resource
import sys
from pathlib import Path

import msgspec

from axon.telemetry import configure_log
from tests.simulation.machine import Real
from tests.simulation.planted import Plant
from tests.simulation.real_servers import RealPostgres, RealValkey
from tests.simulation.seeds import run_seed


def main() -> None:
    """Print the outcome of each seed as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", required=True)
    parser.add_argument("--valkey", required=True, help="the path of its socket")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--seeds", type=int, required=True)
    parser.add_argument("--plant", default=Plant.NONE.value)
    parser.add_argument("--verbose", action="store_true", help="let Axon's own log through")
    chosen = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    log = sys.stderr if chosen.verbose else io.StringIO()
    configure_log(log, service="simulation", level="info" if chosen.verbose else "error")
    real = Real(
        postgres=RealPostgres(chosen.database),
        valkey=RealValkey(chosen.valkey),
        folder=chosen.folder,
    )
    gc.disable()  # the dead must not be collected: that runs code
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        outcome = run_seed(seed, real, Plant(chosen.plant))
        print(msgspec.json.encode(outcome).decode(), flush=True)
    sys.stdout.flush()
    os._exit(0)  # and neither at the end


if __name__ == "__main__":
    main()
