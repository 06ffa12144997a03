"""Journals as the tests open them: small, and with a clock that can be turned."""

from dataclasses import dataclass, field
from pathlib import Path

from axon.base import SystemClock
from axon.journal import (
    Disk,
    Entry,
    Journal,
    JournalEnvironment,
    JournalOptions,
    JournalReader,
    SystemDisk,
)

INSTANCE = "node-1"
SMALL = JournalOptions(
    segment_bytes=512,
    entry_bytes_max=256,
    queue_entries_max=64,
    queue_bytes_max=8192,
    reserve_bytes=4096,
    low_water_bytes=4096,
)


class TurnedClock(SystemClock):
    """The machine's clock, `ahead_us` in the future."""

    __slots__ = ("ahead_us",)

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


@dataclass
class Opened:
    """What a test hands to a journal and looks at afterwards."""

    disk: Disk = field(default_factory=SystemDisk)
    clock: TurnedClock = field(default_factory=TurnedClock)
    fatal: list[BaseException] = field(default_factory=list)

    def open(self, directory: Path, options: JournalOptions = SMALL) -> Journal:
        environment = JournalEnvironment(
            disk=self.disk, clock=self.clock, on_fatal=self.fatal.append
        )
        return Journal.open(directory, INSTANCE, options, environment)


async def write_entries(
    directory: Path, payloads: list[bytes], options: JournalOptions = SMALL
) -> None:
    """Append the payloads one by one, as kind 1, and close again."""
    journal = Opened().open(directory, options)
    for payload in payloads:
        await journal.append(1, payload)
    await journal.close()


def read_all(directory: Path) -> list[Entry]:
    """Return every durable entry, as another process would see it."""
    reader = JournalReader(directory)
    entries: list[Entry] = []
    while page := reader.read(len(entries), 1000, 1 << 20):
        entries += page
    reader.close()
    return entries
