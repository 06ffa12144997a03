"""How long it takes to verify a journal of many entries against its signed checkpoints.

`python -m bench.verify --entries 1000000` writes such a journal, has its heads signed, and follows
its chain as `axon audit verify` does.
"""

import argparse
import tempfile
import time
from pathlib import Path

from axon.audit import Checkpoint, Signer, verify_journal
from axon.base import MIB, SystemRandomness
from axon.journal import ChainWalk
from axon.journal.format import (
    NO_HASH,
    SegmentHeader,
    encode_entry_header,
    encode_segment_header,
    entry_hash,
)
from axon.journal.marks import DURABLE_FILE, write_mark
from axon.journal.segments import segment_path
from axon.sealing import Keyring

GOAL_S = 5.0
"""For a million entries."""

NAME = "bench-serving"
PAYLOAD_BYTES = 1500
"""As long as the records of a short turn."""

CHECKPOINT_EVERY = 1000


def write_journal(directory: Path, entries: int) -> None:
    """Write a journal of so many entries; it takes longer than to verify it."""
    directory.mkdir()
    payload = SystemRandomness().bytes(PAYLOAD_BYTES)
    previous, sequence = NO_HASH, 0
    while sequence < entries:
        first = sequence + 1
        header = encode_segment_header(SegmentHeader(first, 1, previous, NAME))
        with segment_path(directory, first).open("wb") as file:
            file.write(header)
            while sequence < entries and file.tell() < 64 * MIB:
                sequence += 1
                head = encode_entry_header(3, payload, sequence, sequence - 1, previous)
                previous = entry_hash(head, payload)
                file.write(head + payload)
    write_mark(directory / DURABLE_FILE, entries)


def sign(directory: Path, entries: int, signer: Signer) -> list[Checkpoint]:
    """Return the checkpoints of the journal."""
    walk, points = ChainWalk(directory), []
    while walk.place is not None and walk.place.sequence < entries:
        points += walk.advance(CHECKPOINT_EVERY)
    return [signer.checkpoint(NAME, number, one, 1) for number, one in enumerate(points, 1)]


def main() -> None:
    """Measure, print, and exit with 1 when the journal is not found whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    entries = parser.parse_args().entries
    with tempfile.TemporaryDirectory(prefix="axon-verify-") as folder:
        directory = Path(folder) / NAME
        write_journal(directory, entries)
        signer = Signer(Keyring.open(Path(folder) / "keyring.json", SystemRandomness()))
        checkpoints = sign(directory, entries, signer)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        verdict = verify_journal(
            directory, checkpoints, signer.public_key, 0, lambda done, total: None
        )
        took_s = time.perf_counter() - began_s
        cpu_s = time.process_time() - began_cpu_s
    goal = f" (goal: {GOAL_S} s)" if entries == 1_000_000 else ""
    print(
        f"{verdict.entries:,} entries of {PAYLOAD_BYTES} bytes and {verdict.checkpoints:,}"
        f" checkpoints verified in {took_s:.2f} s{goal}, {cpu_s:.2f} s of CPU;"
        f" found: {verdict.findings or 'nothing'}"
    )
    if verdict.entries != entries or verdict.findings:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
