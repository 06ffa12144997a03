"""Reads the closed segments of this node's journals again, slowly, and says what it finds.

Part of the projector's process: it is there once per node and no token waits for it.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec

from axon.base import MIB, MICROS_PER_SECOND, Clock
from axon.journal import EntryGone, JournalError, JournalNewer, closed_segments, read_cursor, scrub
from axon.stores import Health
from axon.telemetry import counter, gauge, log

SCRUB_BYTES_PER_S = 4 * MIB
"""One percent of what a slow disk reads and of what a core hashes: a full segment in 16 seconds."""

SCRUB_EVERY_S = 86_400.0
"""Between the ends of two rounds: as long as a segment stays after PostgreSQL has it, so that each
is read once more before it goes, and what PostgreSQL lacks more often."""

LOOK_EVERY_S = 60.0
"""How often is looked whether a round is due, and whether damage that is known was mended."""

_NOTE = "scrubbed.json"

_bytes = counter("axon_journal_scrubbed_bytes_total", "Bytes of closed segments read again.")
_finished = gauge(
    "axon_journal_scrub_finished_timestamp_seconds", "When all segments were last read again."
)
_damaged = gauge("axon_journal_damaged_segments", "Closed segments that are damaged on the disk.")


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """A closed segment that is not whole any more."""

    path: str
    finding: str
    projected: bool
    """Whether PostgreSQL has every entry of it, so that nothing is lost."""

    def __str__(self) -> str:
        state = (
            "PostgreSQL has all of it, nothing is lost"
            if self.projected
            else "PostgreSQL does not have all of it: axon journal verify, then salvage"
        )
        return f"{self.finding} ({state})"


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What the next process has to know."""

    finished_us: int = 0
    damage: list[Damage] = []


class Scrubbing:
    """Reads every closed segment once a day; damage stays known until it is mended."""

    def __init__(
        self, journals: Path, clock: Clock, bytes_per_s: float = SCRUB_BYTES_PER_S
    ) -> None:
        """`journals` holds one folder for each journal; reads what the last process found."""
        self._journals = journals
        self._clock = clock
        self._bytes_per_s = bytes_per_s
        note = _read_note(journals / _NOTE)
        self._finished_us = note.finished_us
        self._damage = {Path(one.path): one for one in note.damage}
        self._since_us = clock.now_us()
        self._measure()

    @property
    def health(self) -> Health:
        """Return whether the journals' disk keeps what it was given, since when, and why not."""
        first = next(iter(self._damage.values()), None)
        reason = "" if first is None else f"corrupt: {first}"
        return Health(first is None, self._since_us, reason)

    async def keep_scrubbing(self) -> None:
        """Read on until cancelled."""
        while True:
            if self.is_due():
                await self.scrub_all()
            elif self._damage:
                await self._look_again()
            await asyncio.sleep(LOOK_EVERY_S)

    async def scrub_all(self) -> None:
        """Read every closed segment of every journal, at the bounded rate."""
        for directory in await asyncio.to_thread(_folders, self._journals):
            for path, last in (await asyncio.to_thread(closed_segments, directory)).items():
                await self._scrub(path, last)
        await self._look_again()
        self._finished_us = self._clock.now_us()
        await self._keep()

    def is_due(self) -> bool:
        """Return whether a round is to begin: none ended within a day of the clock."""
        waited_us = self._clock.now_us() - self._finished_us
        return not 0 <= waited_us < SCRUB_EVERY_S * MICROS_PER_SECOND

    async def _look_again(self) -> None:
        """Forget damage in segments that were salvaged, retired or put back."""
        for path in list(self._damage):
            last = (await asyncio.to_thread(closed_segments, path.parent)).get(path)
            if last is None:
                await self._set(path, None)
            else:
                await self._scrub(path, last)

    async def _scrub(self, path: Path, last: int) -> None:
        pieces = scrub(path)
        try:
            while (size := await asyncio.to_thread(_next_piece, pieces)) is not None:
                _bytes.inc(size)
                await asyncio.sleep(size / self._bytes_per_s)
        except (EntryGone, JournalNewer):
            await self._set(path, None)  # nothing that this version could judge is there
        except (JournalError, OSError) as error:
            projected = last <= read_cursor(path.parent)
            await self._set(path, Damage(path=str(path), finding=str(error), projected=projected))
        else:
            await self._set(path, None)

    async def _set(self, path: Path, damage: Damage | None) -> None:
        """Remember what is known of a segment, and say it when that is news."""
        before = self._damage.pop(path, None)
        if damage is not None:
            self._damage[path] = damage
        if before == damage:
            return
        if damage is not None:
            log.error("journal.damaged", "A segment of a journal is damaged.", file__path=str(path),
                      error__message=str(damage))  # fmt: skip
        else:
            log.info("journal.mended", "A damaged segment is whole or gone.", file__path=str(path))
        self._since_us = self._clock.now_us()
        await self._keep()

    async def _keep(self) -> None:
        self._measure()
        note = _Note(finished_us=self._finished_us, damage=list(self._damage.values()))
        await asyncio.to_thread(_write_note, self._journals / _NOTE, note)

    def _measure(self) -> None:
        _finished.set(self._finished_us / MICROS_PER_SECOND)
        _damaged.set(len(self._damage))


def _next_piece(pieces: Iterator[int]) -> int | None:
    return next(pieces, None)


def _folders(journals: Path) -> list[Path]:
    return sorted(path for path in journals.glob("*") if path.is_dir())


def _read_note(path: Path) -> _Note:
    """Return what the last process found; a note that is missing or torn only costs a round."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.DecodeError):
        return _Note()


def _write_note(path: Path, note: _Note) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.encode(note))
    unfinished.replace(path)
