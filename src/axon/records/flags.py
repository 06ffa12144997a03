"""The record of a change of the flags: what they were, what they are, who did it and why."""

import msgspec


class FlagChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of one flag, or of one shared rule, whose name begins with `$`."""

    name: str
    version: int
    """Dense from 1 in the life of the name; a rolled back one goes on counting."""
    action: str
    """created, edited, archived, restored or rolled_back."""
    before: bytes
    """The definition as JSON; empty for none."""
    after: bytes
    """Empty when it was archived."""


class FlagSchedule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change that is to be made later; it becomes a record of its own when it is."""

    schedule_id: str
    due_us: int
    wanted: bytes
    """A JSON object: the definition of each name, null to archive it."""


class FlagsChanged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Flags were changed, all of these at once."""

    change_id: str
    number: int
    """Dense from 1 in the life of the installation. Of two records with one number, that counts
    which PostgreSQL had first; the other was acknowledged to nobody."""
    org_id: str
    """Of the key that asked; empty, as the next two, where a file did."""
    user: int
    credential_id: str
    at_us: int
    origin: str
    """api, folder, schedule or experiments."""
    why: str
    changes: list[FlagChange]
    scheduled: list[FlagSchedule] = []
    ended: list[str] = []
    """Schedules that are carried out with this, or called off."""
