"""The command line against a running installation, in this process: a start takes a second.

One command at a time, and none on a running loop: what it prints is taken from sys.stdout.
"""

import json
import time
from typing import Any

from click.testing import CliRunner

from axon.app.cli.main import axon as commands
from axon.app.folders import DataFolder
from axon.metering.snapshot import read_snapshot
from tests.gateway.conftest import RunningAxon

KNOWN_WITHIN_S = 30.0


def axon_text(running: RunningAxon, *words: str) -> str:
    """Return what a command prints; it must succeed."""
    done = CliRunner().invoke(commands, [*words], env={"AXON_DATA": str(running.data)})
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout


def axon_lines(running: RunningAxon, *words: str) -> list[dict[str, Any]]:
    """Return the objects that a command prints, one a line."""
    return [json.loads(line) for line in axon_text(running, *words, "--json").splitlines()]


def axon_command(running: RunningAxon, *words: str) -> dict[str, Any]:
    """Return the one object that a command prints."""
    (printed,) = axon_lines(running, *words)
    return printed


def set_price(running: RunningAxon, model: str, *words: str) -> None:
    """Set a price, and return once the serving process charges by it."""
    made = axon_command(running, "prices", "set", model, *words)["price"]["price_id"]
    end = time.monotonic() + KNOWN_WITHIN_S
    while time.monotonic() < end:
        known = read_snapshot(DataFolder(running.data).prices_snapshot)  # it writes what it knows
        if known is not None and made in {price.price_id for price in known.prices}:
            return
        time.sleep(0.02)
    raise AssertionError("the price was never known")
