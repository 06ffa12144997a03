"""The flags as they are kept: definitions with their versions, and what waits for its time."""

import msgspec


class KeptFlag(msgspec.Struct, frozen=True, kw_only=True):
    """A flag, or a shared rule, whose name begins with `$`, as it stands."""

    name: str
    version: int
    definition: bytes
    """JSON; empty when it is archived."""
    origin: str
    """folder or api: where it is to be changed."""
    number: int
    """Of the change that made it so."""
    at_us: int


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A change that waits for its time, and who asked for it."""

    schedule_id: str
    due_us: int
    wanted: bytes
    """A JSON object: the definition of each name, null to archive it."""
    org_id: str
    user: int
    credential_id: str
    at_us: int
    why: str


class Defined(msgspec.Struct, frozen=True, kw_only=True):
    """What is defined, or what changed of it, as of one change."""

    format: int = 1
    number: int = 0
    """Of the newest change."""
    since: int = 0
    """`flags` are those that changed after this one; 0: all there are."""
    flags: tuple[KeptFlag, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    """Always all that wait."""


class FlagVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One change in the life of a flag: who, when, why, before and after."""

    name: str
    version: int
    action: str
    before: bytes
    after: bytes
    number: int
    change_id: str
    org_id: str
    user: int
    credential_id: str
    at_us: int
    origin: str
    why: str
