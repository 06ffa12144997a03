"""Signs the heads of this node's journals: beside the projector, which is there once per node."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from axon.audit import Checkpoint, Signer, last_checkpoint, write_checkpoints
from axon.base import MICROS_PER_SECOND, Clock
from axon.journal import ChainPoint, ChainWalk, EntryGone, JournalError
from axon.stores import Postgres, PostgresAway
from axon.telemetry import counter, gauge, log

RECORDS_BETWEEN = 1000
"""A checkpoint is signed at each so many records, and"""

SECONDS_BETWEEN = 60.0
"""so long after the last one, where fewer came."""

LOOK_EVERY_S = 1.0

LOOK_AGAIN_S = 60.0
"""After a broken chain was found: a salvaged journal is followed from its own beginning then."""

_TIMEOUT_S = 10.0

_READS_AT_ONCE = 8
"""Of one journal, before the others have their turn: 256 MiB at most."""

_signed = counter("axon_audit_checkpoints_total", "Heads of journals that were signed.")
_broken = gauge("axon_audit_broken_chains", "Journals whose hash chain is broken on the disk.")


@dataclass(slots=True)
class _Followed:
    """A journal, and how far it is signed."""

    walk: ChainWalk
    number: int
    sequence: int
    signed_us: int
    unsigned: list[ChainPoint] = field(default_factory=list)


class Checkpointing:
    """Follows every journal's chain and writes signed checkpoints to PostgreSQL and a log line."""

    def __init__(self, journals: Path, postgres: Postgres, signer: Signer, clock: Clock) -> None:
        """`journals` holds one folder for each journal; nothing is read yet."""
        self._journals = journals
        self._postgres = postgres
        self._signer = signer
        self._clock = clock
        self._followed: dict[Path, _Followed] = {}
        self._damage: dict[Path, str] = {}
        self._look_again_s: dict[Path, float] = {}

    async def keep_signing(self) -> None:
        """Look for news until cancelled."""
        while True:
            await self.sign_news()
            await asyncio.sleep(LOOK_EVERY_S)

    async def sign_news(self, at_once: bool = False) -> None:
        """Sign what is due in each journal; `at_once` also what could wait for more records."""
        for directory in await asyncio.to_thread(_folders, self._journals):
            if self._clock.monotonic() < self._look_again_s.get(directory, 0.0):
                continue
            try:
                await self._sign(directory, at_once)
            except PostgresAway:
                continue  # nothing is signed that could not be kept, and it waits in the journal
            except (JournalError, OSError) as error:
                self._note_damage(directory, error)
        _broken.set(len(self._damage))

    async def _sign(self, directory: Path, at_once: bool) -> None:
        followed = self._followed.get(directory) or await self._begin(directory)
        if followed.walk.place is None:
            del self._followed[directory]  # there is no journal yet
            return
        for _ in range(_READS_AT_ONCE):
            points = await asyncio.to_thread(followed.walk.advance, RECORDS_BETWEEN)
            if not points:
                break
            followed.unsigned = [*followed.unsigned, *points]
        due = _due(followed, at_once, self._clock.now_us())
        if due:
            await self._keep(directory.name, followed, due)
        self._damage.pop(directory, None)

    async def _begin(self, directory: Path) -> _Followed:
        async with self._postgres.connection(_TIMEOUT_S) as connection:
            last = await last_checkpoint(connection, directory.name)
        known = directory not in self._damage  # where it is damaged, its own beginning counts
        place = last.point if last is not None and known else None
        walk = await asyncio.to_thread(ChainWalk, directory, place)
        followed = _Followed(walk, 0, 0, self._clock.now_us())
        if last is not None:
            followed.number, followed.sequence = last.number, last.sequence
        self._followed[directory] = followed
        return followed

    async def _keep(self, instance: str, followed: _Followed, points: list[ChainPoint]) -> None:
        now_us = self._clock.now_us()
        made = [
            self._signer.checkpoint(instance, number, point, now_us)
            for number, point in enumerate(points, followed.number + 1)
        ]
        async with self._postgres.connection(_TIMEOUT_S) as connection, connection.transaction():
            await write_checkpoints(connection, made)
        last = made[-1]
        followed.number, followed.sequence, followed.signed_us = last.number, last.sequence, now_us
        followed.unsigned = [one for one in followed.unsigned if one.sequence > last.sequence]
        _signed.inc(len(made))
        _tell(last)

    def _note_damage(self, directory: Path, error: Exception) -> None:
        self._followed.pop(directory, None)
        if isinstance(error, EntryGone):
            return  # it was retired before it was followed: the next look begins behind it
        self._look_again_s[directory] = self._clock.monotonic() + LOOK_AGAIN_S
        if self._damage.get(directory) != str(error):
            self._damage[directory] = str(error)
            log.error(
                "audit.broken",
                "A journal's hash chain is broken.",
                file__path=str(directory),
                error__message=str(error),
            )


def _due(followed: _Followed, at_once: bool, now_us: int) -> list[ChainPoint]:
    """Return what is to be signed now: each thousandth record, and the last one when it is time."""
    fresh = [one for one in followed.unsigned if one.sequence > followed.sequence]
    waited_us = now_us - followed.signed_us
    if at_once or not 0 <= waited_us < SECONDS_BETWEEN * MICROS_PER_SECOND:
        last = fresh[-1:]
    else:
        last = []
    due = {one.sequence: one for one in fresh if one.sequence % RECORDS_BETWEEN == 0}
    due |= {one.sequence: one for one in last}
    followed.unsigned = fresh[-1:] if not due else fresh
    return [due[sequence] for sequence in sorted(due)]


def _tell(last: Checkpoint) -> None:
    log.info(
        "audit.checkpoint",
        "The head of a journal was signed.",
        axon__journal=last.instance,
        axon__checkpoint=last.number,
        axon__sequence=last.sequence,
        axon__hash=last.hash.hex(),
        axon__signature=last.signature.hex(),
    )


def _folders(journals: Path) -> list[Path]:
    return sorted(path for path in journals.glob("*") if path.is_dir())
