"""A disk that loses a bit of a closed segment is found out, told, and nobody is disturbed."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axon.journal import closed_segments, read_cursor
from tests.gateway.conftest import RunningAxon, start_axon, stop

SMALL = {
    "AXON_JOURNAL_SEGMENT_BYTES": str(66 * 1024),
    "AXON_JOURNAL_ENTRY_BYTES_MAX": str(64 * 1024),
}
WITHIN_S = 30.0


def journal_disk(axon: RunningAxon) -> dict[str, Any]:
    with urllib.request.urlopen(f"{axon.origin}/status", timeout=10) as answer:
        status: dict[str, Any] = json.loads(answer.read())
    found: dict[str, Any] = status["dependencies"]["journal-disk"]
    assert found["up"] is ("journal-disk" not in status["degraded"])
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.failure("journal-disk", "corrupt")
def test_damage_in_a_closed_segment_is_told_and_turns_go_on(
    tmp_path: Path, upstream_address: str
) -> None:
    """PostgreSQL has all of it, so nothing is lost, and that is said too."""
    process, axon = start_axon(tmp_path / "data", upstream_address, environment=SMALL)
    try:
        with axon.sync_client() as client:
            for _ in range(8):
                text = os.urandom(5_000).hex()  # it does not compress much
                client.responses.create(model="default", input=text)
            (journal,) = (path for path in (axon.data / "journal").iterdir() if path.is_dir())
            path, last = next(iter(closed_segments(journal).items()))
            wait_until(lambda: read_cursor(journal) >= last)
            assert journal_disk(axon)["up"]
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 8
            path.write_bytes(data)
            (axon.data / "journal/scrubbed.json").unlink()  # as if a day had gone by
            os.kill(axon.pids["projector"][0], signal.SIGKILL)
            wait_until(lambda: not journal_disk(axon)["up"])
            reason = journal_disk(axon)["reason"]
            assert reason.startswith("corrupt: ")
            assert path.name in reason
            assert "nothing is lost" in reason
            assert client.responses.create(model="default", input="Still there?").output_text
        assert '"journal.damaged"' in (axon.data / "logs/projector.log").read_text()
    finally:
        stop(process)
