"""How flags, their changes and what clients of OpenFeature get are shown."""

from typing import Any, Literal

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.flags import Changed, FlagVersion, KeptFlag, Schedule


class ScheduledChange(msgspec.Struct):
    """A change of flags that waits for its time."""

    object: Literal["flag.schedule"]
    id: str
    at: int
    """Seconds since 1970, as every `at` and `..._at` here."""
    wanted: Any
    """The definition of each flag; null archives it."""
    why: str
    by: str
    """The id of the key that asked."""


class FlagShown(msgspec.Struct):
    """A flag; a key that begins with `$` is a rule that flags share."""

    object: Literal["flag"]
    key: str
    version: int
    archived: bool
    origin: Literal["api", "folder"]
    """Where it is to be changed."""
    changed_at: int
    definition: Any
    """As flagd has it; null when it is archived."""
    scheduled: list[ScheduledChange]


class FlagPage(msgspec.Struct):
    """All flags."""

    object: Literal["list"]
    number: int
    """Of the newest change of the installation."""
    data: list[FlagShown]


class FlagChanges(msgspec.Struct):
    """What a change did."""

    object: Literal["flag.changes"]
    number: int
    versions: dict[str, int]
    """Of the flags that are another thing now; empty when nothing was to be changed."""
    schedule_id: str | None


class FlagChangeShown(msgspec.Struct):
    """One change in the life of a flag."""

    object: Literal["flag.change"]
    key: str
    version: int
    action: Literal["created", "edited", "archived", "restored", "rolled_back"]
    at: int
    by: str
    """The id of the key that asked; empty where a file did."""
    org_id: str
    user_id: str
    origin: Literal["api", "folder", "schedule", "experiments"]
    why: str
    before: Any
    after: Any
    number: int


class FlagHistory(msgspec.Struct):
    """Changes of a flag, the newest first."""

    object: Literal["list"]
    data: list[FlagChangeShown]
    last_id: str | None
    has_more: bool


def flag_shown(flag: KeptFlag, schedules: tuple[Schedule, ...]) -> FlagShown:
    """Return a flag, with what waits for its time."""
    waiting = [schedule_shown(one) for one in schedules]
    return FlagShown(
        object="flag",
        key=flag.name,
        version=flag.version,
        archived=not flag.definition,
        origin="folder" if flag.origin == "folder" else "api",
        changed_at=flag.at_us // MICROS_PER_SECOND,
        definition=msgspec.Raw(flag.definition or b"null"),
        scheduled=[one for one in waiting if flag.name in one.wanted],
    )


def schedule_shown(schedule: Schedule) -> ScheduledChange:
    """Return a change that waits for its time."""
    return ScheduledChange(
        object="flag.schedule",
        id=schedule.schedule_id,
        at=schedule.due_us // MICROS_PER_SECOND,
        wanted=msgspec.json.decode(schedule.wanted, type=dict[str, msgspec.Raw]),
        why=schedule.why,
        by=schedule.credential_id,
    )


def changes_shown(changed: Changed) -> FlagChanges:
    """Return what a change did."""
    return FlagChanges(
        object="flag.changes",
        number=changed.number,
        versions=dict(changed.versions),
        schedule_id=changed.schedule_id or None,
    )


def version_shown(one: FlagVersion) -> dict[str, object]:
    """Return one change, as FlagChangeShown."""
    return {
        "object": "flag.change",
        "key": one.name,
        "version": one.version,
        "action": one.action,
        "at": one.at_us // MICROS_PER_SECOND,
        "by": one.credential_id,
        "org_id": one.org_id,
        "user_id": f"{one.user:016x}" if one.org_id else "",
        "origin": one.origin,
        "why": one.why,
        "before": msgspec.Raw(one.before or b"null"),
        "after": msgspec.Raw(one.after or b"null"),
        "number": one.number,
    }


class OfrepStream(msgspec.Struct, rename="camel"):
    """Where a client hears that it should ask again."""

    type: Literal["sse"]
    endpoint: dict[str, str]
    inactivity_delay_sec: int


class OfrepFlag(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a flag says to a client, or why it says nothing. Without a `value` it does as it would
    without the flag."""

    key: str
    reason: str = ""
    variant: str | None = None
    value: Any = msgspec.UNSET
    metadata: dict[str, Any] = {}
    error_code: str = ""
    error_details: str = ""


class OfrepFlags(msgspec.Struct, rename="camel"):
    """What all flags say to a client."""

    flags: list[OfrepFlag]
    metadata: dict[str, Any]
    event_streams: list[OfrepStream]


class OfrepProblem(msgspec.Struct, rename="camel"):
    """Why a client's question was not answered."""

    error_code: str
    error_details: str
    key: str | None = None


FLAG_ANSWERS: dict[str, Any] = {
    "flags.list_flags": FlagPage,
    "flags.change_flags": FlagChanges,
    "flags.get_flag": FlagShown,
    "flags.set_flag": FlagChanges,
    "flags.archive_flag": FlagChanges,
    "flags.flag_history": FlagHistory,
    "flags.roll_back_flag": FlagChanges,
    "flags.call_off_schedule": FlagChanges,
    "ofrep.evaluate_flag": OfrepFlag,
    "ofrep.evaluate_flags": OfrepFlags,
    "ofrep.follow_changes": None,
}
