"""Starts the coverage-guided engine on a target, in a process of its own: it ends its process."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

NO_ENGINE = "atheris has wheels for Linux on x86-64 only, and this is another machine"
TAIL_LINES = 40
"""Of what the engine said: the traceback of what it found is there."""

_NOISE = ("INFO: ", "WARNING: ")


class Ran(NamedTuple):
    """How a run of the engine ended."""

    found: bool
    said: str
    """Its last lines: the figures, or the traceback of what it found."""


def has_engine() -> bool:
    """Return whether atheris is installed here."""
    return importlib.util.find_spec("atheris") is not None


def run_guided(target: str, corpus: Path, bound: str, within_s: float, seed: int) -> Ran:
    """Run until the bound (`-runs=N` or `-max_total_time=S`) or the first finding; blocks.

    An engine that has not ended within `within_s` hangs: TimeoutExpired.
    """
    command = [sys.executable, "-m", "tests.fuzz.coverage_guided.harness", target, str(corpus)]
    done = subprocess.run(
        [*command, bound, f"-seed={seed}"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=within_s,
        check=False,
    )
    lines = (done.stderr + done.stdout).splitlines()
    said = [line for line in lines if not line.startswith(_NOISE) and " # Uses: " not in line]
    return Ran(done.returncode != 0, "\n".join(said[-TAIL_LINES:]))
