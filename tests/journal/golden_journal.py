"""A journal of every format version that was ever written, with what is in it.

Run this file to write the present version's when it is missing; one that exists is never written
again, because journals like it are out there. It holds every shape of every record that had a
golden file then, in segments so small that the chain crosses several.
"""

import asyncio
from pathlib import Path

import msgspec

from axon.journal import Journal, JournalOptions
from axon.journal.format import VERSION
from tests.journal.journals import Opened

GOLDEN = Path(__file__).parent / "golden"
RECORDS = Path(__file__).parent.parent / "records/golden"

OPTIONS = JournalOptions(
    segment_bytes=2048, entry_bytes_max=1024, queue_bytes_max=1 << 20, reserve_bytes=0,
    low_water_bytes=0,
)  # fmt: skip


class GoldenEntry(msgspec.Struct, frozen=True):
    """An entry as it was appended."""

    sequence: int
    kind: int
    payload: bytes


def golden_journals() -> list[Path]:
    """Return the folders, one for each format version, oldest first."""
    return sorted(GOLDEN.iterdir(), key=lambda path: int(path.name))


def expected_entries(folder: Path) -> list[GoldenEntry]:
    """Return what was appended to a golden journal."""
    return msgspec.json.decode((folder / "entries.json").read_bytes(), type=list[GoldenEntry])


def every_record() -> list[tuple[int, bytes]]:
    """Return kind and payload of every golden record."""
    paths = sorted(RECORDS.iterdir(), key=lambda path: [int(part) for part in path.stem.split(".")])
    return [(int(path.name.partition(".")[0]), path.read_bytes()) for path in paths]


async def write_missing() -> None:
    """Write the journal of the present version if there is none."""
    folder = GOLDEN / str(VERSION)
    if folder.exists():
        return
    journal = Opened().open(folder, OPTIONS)
    entries = await _append(journal, every_record())
    await journal.close()
    (folder / "lock").unlink()
    (folder / "entries.json").write_bytes(msgspec.json.format(msgspec.json.encode(entries)))


async def _append(journal: Journal, records: list[tuple[int, bytes]]) -> list[GoldenEntry]:
    entries = []
    for kind, payload in records:
        location = await journal.append(kind, payload)
        entries.append(GoldenEntry(location.sequence, kind, payload))
    return entries


if __name__ == "__main__":
    asyncio.run(write_missing())
