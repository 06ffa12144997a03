"""This process's copy of the flags: follows PostgreSQL, and outlives it in a file."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from axon.flags.documents import usable_set
from axon.flags.errors import DefinitionInvalid
from axon.flags.flag_set import EMPTY, FlagSet
from axon.flags.kept import Defined, KeptFlag, Schedule
from axon.flags.snapshot import read_snapshot, write_snapshot
from axon.flags.store import read_changed
from axon.stores import Postgres
from axon.telemetry import counter, gauge, log

_number = gauge("axon_flags_number", "The newest change of the flags that this process knows.")
_unusable = gauge(
    "axon_flags_unusable", "Flags whose definition this version cannot use: they are off."
)
_snapshot_failures = counter(
    "axon_flags_snapshot_failures_total", "Snapshots of the flags that could not be written."
)


class FlagsReplica:
    """The flags as of the last poll that PostgreSQL answered; none, so all are off, before one."""

    def __init__(self, postgres: Postgres, snapshot: Path) -> None:
        """Nothing is known until `load` or `refresh`; several processes may share the file."""
        self.flag_set: FlagSet = EMPTY
        """What is asked."""
        self.number = 0
        """Of the newest change in it."""
        self.schedules: tuple[Schedule, ...] = ()
        self._postgres = postgres
        self._snapshot = snapshot
        self._kept: dict[str, KeptFlag] = {}
        self._one_by_one = asyncio.Lock()

    @property
    def kept(self) -> Mapping[str, KeptFlag]:
        """Return the definitions that count, by name."""
        return self._kept

    async def load(self) -> None:
        """Take over the file, if there is one; its flags count until PostgreSQL says others."""
        try:
            found = await asyncio.to_thread(read_snapshot, self._snapshot)
        except (OSError, ValueError) as error:
            log.warning("flags.no-snapshot", f"No snapshot of the flags can be read: {error}")
            return
        if found is not None:
            await self._take(found)

    async def refresh(self) -> bool:
        """Take over what changed, and return whether anything did; raises FlagsUnavailable."""
        async with self._one_by_one:
            changed = await read_changed(self._postgres, self.number)
            if changed is None:
                return False
            await self._take(changed)
            await self._save()
        return True

    async def _take(self, changed: Defined) -> None:
        kept = dict(self._kept) if changed.since else {}
        for flag in changed.flags:
            if flag.definition:
                kept[flag.name] = flag
            else:
                kept.pop(flag.name, None)
        definitions = {name: flag.definition for name, flag in kept.items()}
        flag_set, bad = await asyncio.to_thread(usable_set, definitions, self.flag_set)
        flag_set.versions = {name: flag.version for name, flag in kept.items()}
        self._kept, self.flag_set, self.schedules = kept, flag_set, changed.schedules
        self.number = changed.number
        _number.set(self.number)
        _unusable.set(len(bad))
        for name, error in bad.items():
            _tell_unusable(name, error)

    async def _save(self) -> None:
        """A disk that refuses costs a start without PostgreSQL, and nothing else."""
        flags = tuple(self._kept.values())
        now = Defined(number=self.number, flags=flags, schedules=self.schedules)
        try:
            await asyncio.to_thread(write_snapshot, self._snapshot, now)
        except OSError as error:
            _snapshot_failures.inc()
            log.warning("flags.snapshot-failed", f"The snapshot was not written: {error}")


def _tell_unusable(name: str, error: DefinitionInvalid) -> None:
    log.error(
        "flags.unusable",
        "A flag is off: this version cannot use its definition.",
        axon__flag=name,
        error__message=str(error),
    )
