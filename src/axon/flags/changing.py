"""Changing flags: the record first, then the tables, one change of the installation at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import asyncpg
import msgspec

from axon.base import Clock, IdMint, until_done
from axon.flags.definition import read_definitions
from axon.flags.documents import is_name, join_document, path_of, same, with_bucketing
from axon.flags.errors import DefinitionInvalid, Mistake
from axon.flags.kept import Defined, FlagVersion, KeptFlag, Schedule
from axon.flags.refusals import (
    ChangeWrong,
    FlagChangedMeanwhile,
    FlagFromFile,
    FlagsUnavailable,
    UnknownFlag,
    UnknownSchedule,
    UnknownVersion,
)
from axon.flags.store import (
    SCHEDULES_MAX,
    apply_change,
    connected,
    exclude_others,
    is_pending,
    read_defined,
    read_flag,
    read_version,
    read_versions,
)
from axon.flags.under_experiment import EXPERIMENTS, check_frozen, with_allocation
from axon.journal import Journal
from axon.records import FlagChange, FlagsChanged, FlagSchedule, encode
from axon.stores import Postgres
from axon.telemetry import counter, log

TIMEOUT_S = 10.0
"""An administrator waits longer than a request does, but not for ever."""

WHY_CHARS_MAX = 1000

_changes = counter("axon_flags_changes_total", "Changes of flags that took effect.", ("origin",))
for _origin in ("api", "folder", "schedule", "experiments"):
    _changes.labels(_origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes flags: nobody, where a file does."""

    org_id: str = ""
    user: int = 0
    credential_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A change that somebody wants."""

    author: Author = Author()
    origin: str = "api"
    """api, folder, schedule or experiments."""
    why: str = ""
    wanted: Mapping[str, bytes] = field(default_factory=dict)
    """Definitions by name, as split_document returns them; empty to archive it. What a folder
    wants is all it has."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Versions that the names must still have; 0 for one that must not be there."""
    due_us: int = 0
    """When; 0 for now."""
    ends: str = ""
    """The schedule that this carries out or calls off."""
    rolls_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of it."""

    number: int
    """Of the change; of the newest one when nothing was to be changed."""
    versions: Mapping[str, int]
    """Of the names that were changed."""
    schedule_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangingParts:
    """What changing flags needs."""

    postgres: Postgres
    journal: Journal
    mint: IdMint
    clock: Clock
    has_folder: bool = False
    """Whether this process follows a folder: then its flags are changed there alone."""


class FlagChanges:
    """Every method may raise FlagsUnavailable, also when the journal cannot be written to."""

    def __init__(self, parts: ChangingParts, made: Callable[[int], Awaitable[None]]) -> None:
        """The parts are opened and closed by their owner; `made` is awaited with each number."""
        self._parts = parts
        self._made = made

    async def make(self, asked: Asked) -> Changed:
        """Make the change, all of it or nothing; it is durable, and in the tables, on return.

        Raises DefinitionInvalid with what is wrong where, ChangeWrong, FlagChangedMeanwhile,
        FlagFromFile, UnknownFlag for one that is archived and is not there, UnknownSchedule, and
        JournalError when nothing can be kept now.
        """
        _check(asked)
        parts = self._parts
        parts.journal.admit()
        async with connected(parts.postgres, TIMEOUT_S) as connection, connection.transaction():
            before = await self._standing(connection, asked)
            record = await asyncio.to_thread(self._record, asked, before)
            if record is None:
                return Changed(number=before.number, versions={})
            if record.scheduled and len(before.schedules) >= SCHEDULES_MAX:
                raise ChangeWrong(f"{SCHEDULES_MAX} changes wait for their time already")
            await until_done(parts.journal.append(*encode(record)))
            if not await apply_change(connection, record):
                # It is in the journal, and another one has its number: as if it never was.
                raise FlagsUnavailable("another change came first")
        _changes.labels(asked.origin).inc()
        await self._made(record.number)
        return Changed(
            number=record.number,
            versions={one.name: one.version for one in record.changes},
            schedule_id=record.scheduled[0].schedule_id if record.scheduled else "",
        )

    async def roll_back(self, asked: Asked, name: str, version: int) -> Changed:
        """Make a flag again what it was in a version; 0: in the one before. Raises as `make`."""
        async with connected(self._parts.postgres, TIMEOUT_S) as connection:
            kept = await read_flag(connection, name)
            if kept is None:
                raise UnknownFlag(name)
            wanted = version or kept.version - 1
            if not 1 <= wanted <= kept.version:
                raise UnknownVersion(f"{name}, version {wanted}")
            definition = await read_version(connection, name, wanted)
        expected = asked.expected or {name: kept.version}
        return await self.make(
            replace(asked, wanted={name: definition}, expected=expected, rolls_back=True)
        )

    async def call_off(self, author: Author, schedule_id: str, why: str) -> Changed:
        """See that a change that waits for its time is never made; raises UnknownSchedule."""
        return await self.make(Asked(author=author, why=why, ends=schedule_id))

    async def carry_out(self, schedule: Schedule) -> Changed:
        """Make a change whose time has come; raises UnknownSchedule when another process did.

        One that cannot be made any more is over, and has changed nothing.
        """
        raws = msgspec.json.decode(schedule.wanted, type=dict[str, msgspec.Raw])
        asked = Asked(
            author=Author(
                org_id=schedule.org_id, user=schedule.user, credential_id=schedule.credential_id
            ),
            origin="schedule",
            why=schedule.why,
            wanted={name: b"" if raw == b"null" else bytes(raw) for name, raw in raws.items()},
            ends=schedule.schedule_id,
        )
        try:
            return await self.make(asked)
        except (DefinitionInvalid, FlagFromFile, UnknownFlag) as error:
            log.error(
                "flags.schedule-failed",
                "A change of flags could not be made when its time came.",
                axon__flags__schedule=schedule.schedule_id,
                error__message=str(error),
            )
            why = f"could not be made: {error}"[:WHY_CHARS_MAX]
            return await self.make(replace(asked, wanted={}, why=why))

    async def flag(self, name: str) -> KeptFlag:
        """Return a flag as it stands, archived or not; raises UnknownFlag."""
        async with connected(self._parts.postgres) as connection:
            found = await read_flag(connection, name)
        if found is None:
            raise UnknownFlag(name)
        return found

    async def listed(self) -> Defined:
        """Return everything that is defined, archived flags too."""
        async with (
            connected(self._parts.postgres) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await read_defined(connection)

    async def versions(self, name: str, before: int, limit: int) -> list[FlagVersion]:
        """Return the changes of a flag below a version, the newest first; raises UnknownFlag."""
        async with connected(self._parts.postgres) as connection:
            found = await read_versions(connection, name, before, limit)
            if not found and await read_flag(connection, name) is None:
                raise UnknownFlag(name)
        return found

    async def _standing(self, connection: asyncpg.Connection, asked: Asked) -> Defined:
        """Return everything as it stands, which nobody changes until the transaction ends."""
        await exclude_others(connection)
        if asked.ends and not await is_pending(connection, asked.ends):
            raise UnknownSchedule(asked.ends)
        return await read_defined(connection)

    def _record(self, asked: Asked, before: Defined) -> FlagsChanged | None:
        """Return the record of the change, None when there is nothing to change; takes a while."""
        parts = self._parts
        standing = {flag.name: flag for flag in before.flags}
        _check_versions(asked, standing)
        changes = self._changes(asked, standing)
        after = {flag.name: flag.definition for flag in before.flags}
        after.update({change.name: change.after for change in changes})
        read_definitions(join_document({name: one for name, one in after.items() if one}))
        now_us = parts.clock.now_us()
        later: list[FlagSchedule] = []
        if asked.due_us > now_us:
            if not asked.wanted:
                raise ChangeWrong("there is nothing to do then")
            wanted = msgspec.json.encode(
                {name: msgspec.Raw(one or b"null") for name, one in asked.wanted.items()}
            )
            later = [FlagSchedule(self._mint("fls", asked), asked.due_us, wanted)]
            changes = []
        if not changes and not later and not asked.ends:
            return None
        return FlagsChanged(
            change_id=self._mint("flc", asked),
            number=before.number + 1,
            org_id=asked.author.org_id,
            user=asked.author.user,
            credential_id=asked.author.credential_id,
            at_us=now_us,
            origin=asked.origin,
            why=asked.why,
            changes=changes,
            scheduled=later,
            ended=[asked.ends] if asked.ends else [],
        )

    def _changes(self, asked: Asked, standing: Mapping[str, KeptFlag]) -> list[FlagChange]:
        wanted = dict(asked.wanted)
        from_folder = asked.origin == "folder"
        for name, flag in standing.items():
            if flag.origin != "folder" or not flag.definition:
                continue
            if from_folder:
                wanted.setdefault(name, b"")  # it is no longer there
            elif name in wanted and self._parts.has_folder and asked.origin != EXPERIMENTS:
                raise FlagFromFile(name)
        found = []
        for name, definition in wanted.items():
            was, version, origin = _state(standing.get(name))
            if not definition and not version:
                raise UnknownFlag(name)
            after = with_bucketing(definition, was) if definition else b""
            after = with_allocation(after, was, asked.origin) if after else b""
            taken_over = from_folder and origin == "api" and after
            if same(after, was) and not taken_over:
                continue
            action = _action(asked.rolls_back, version, was, after)
            found.append(FlagChange(name, version + 1, action, was, after))
        check_frozen(
            {one.name: (one.before, one.after) for one in found},
            {name: flag.definition for name, flag in standing.items()},
        )
        return found

    def _mint(self, prefix: str, asked: Asked) -> str:
        return self._parts.mint.mint(prefix, asked.author.org_id, asked.author.user)


def _state(flag: KeptFlag | None) -> tuple[bytes, int, str]:
    """Return the definition, the version and the origin; empty for a flag that never was."""
    return (b"", 0, "") if flag is None else (flag.definition, flag.version, flag.origin)


def _action(rolls_back: bool, version: int, was: bytes, after: bytes) -> str:
    if rolls_back:
        return "rolled_back"
    if not after:
        return "archived"
    if not version:
        return "created"
    return "edited" if was else "restored"


def _check(asked: Asked) -> None:
    if len(asked.why) > WHY_CHARS_MAX or "\0" in asked.why:
        raise ChangeWrong(f"its reason has at most {WHY_CHARS_MAX} characters, and no U+0000")
    for name in asked.wanted:
        if not is_name(name):
            raise DefinitionInvalid([Mistake(path_of(name), "no flag can be called so")])


def _check_versions(asked: Asked, standing: Mapping[str, KeptFlag]) -> None:
    for name, expected in asked.expected.items():
        flag = standing.get(name)
        version = flag.version if flag else 0
        if version != expected:
            raise FlagChangedMeanwhile(f"{name} has version {version}, not {expected}")
