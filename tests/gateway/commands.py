"""The command line against a running installation, in this process: a start takes a second.

One command at a time, and none on a running loop: what it prints is taken from sys.stdout.
"""

import json
from typing import Any

from click.testing import CliRunner

from axon.app.cli.main import axon as commands
from tests.gateway.conftest import RunningAxon


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
