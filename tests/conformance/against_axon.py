"""`make conformance`: the whole suite against an Axon of its own, hooks included.

ARGS are the suite's own options, for example ARGS="--only resume --json found.json".
"""

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from axon import __version__

ROOT = Path(__file__).resolve().parent.parent.parent
_STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An Axon in front of the suite's own engine, and the options that name it."""

    folder: Path
    options: tuple[str, ...]


@contextlib.contextmanager
def started(folder: Path, delay_ms: float = 20.0) -> Iterator[Started]:
    """Start the engine and Axon; stop both at the end, whatever the suite did to them."""
    command = [sys.executable, "-m", "conformance.upstream", "--port", "0"]
    with subprocess.Popen(
        [*command, "--delay-ms", str(delay_ms)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as engine:
        try:
            assert engine.stdout is not None
            (folder / "upstream").write_text(engine.stdout.readline().strip())
            (folder / "port").write_text(str(_free_port()))
            _run("start", folder)
            try:
                yield Started(folder=folder, options=_options(folder))
            finally:
                _run("stop", folder)
        finally:
            engine.kill()


def _options(folder: Path) -> tuple[str, ...]:
    ready = json.loads((folder / "ready.json").read_text())
    words = {"stall": "stall", "heal": "heal", "kill": "kill", "restart": "start"}
    hooks = [f"--hook-{hook}={shlex.join(_command(word, folder))}" for hook, word in words.items()]
    return (
        f"--base-url={ready['base_url']}", f"--api-key={ready['api_key']}", "--model=counter",
        "--echo-model=echo", *hooks,
    )  # fmt: skip


def _command(word: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.conformance.installation", word, str(folder)]


def _run(word: str, folder: Path) -> None:
    subprocess.run(_command(word, folder), cwd=ROOT, check=True, timeout=_STOP_TIMEOUT_S * 2)


def stranger_key(folder: Path) -> str:
    """Return a new key of another person of the same organization."""
    axon = [sys.executable, "-m", "axon.app.cli"]
    options = ["--name", "stranger", "--data", str(folder / "data"), "--json"]
    subprocess.run(
        [*axon, "users", "create", "stranger", "--data", str(folder / "data")],
        check=True, capture_output=True, timeout=_STOP_TIMEOUT_S,
    )  # fmt: skip
    made = subprocess.run(
        [*axon, "keys", "create", "--user", "stranger", *options],
        check=True, capture_output=True, text=True, timeout=_STOP_TIMEOUT_S,
    )  # fmt: skip
    return str(json.loads(made.stdout)["secret"])


def _free_port() -> int:
    """Return a port that is free now; Axon keeps it over its restarts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def main() -> int:
    """Run the suite; return its exit status."""
    folder = Path(tempfile.mkdtemp(prefix="axon-conformance-"))
    try:
        with started(folder) as axon:
            named = [f"--name=Axon {__version__}", f"--stranger-key={stranger_key(folder)}"]
            command = [sys.executable, "-m", "conformance", *named, *axon.options, *sys.argv[1:]]
            return subprocess.run(command, cwd=ROOT, check=False).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
