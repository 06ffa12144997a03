"""`/v1/flags`: what the flags are, were and shall be."""

from datetime import datetime

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.flags import RULE_MARK, Asked, Author, UnknownFlag, is_name, split_document
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.flag_shapes import (
    FlagPage,
    changes_shown,
    flag_shown,
    version_shown,
)
from axon.gateway.members import member, required
from axon.gateway.pages import page_limit
from axon.gateway.problem import refuse
from axon.turns import Fields

_OURS = ("why", "at")
"""Members of a change that are no part of flagd's document."""

_NEWEST = 2**31 - 1


async def list_flags(door: Door, call: Call) -> None:
    """Answer with all flags and shared rules; archived ones with `archived=true`."""
    archived = call.query().get("archived", "false")
    if archived not in ("true", "false"):
        message = f"Invalid value for 'archived': {archived!r}; use 'true' or 'false'."
        raise refuse(message, param="archived", code="invalid_value")
    defined = await door.flags.changes.listed()
    shown = [
        flag_shown(flag, defined.schedules)
        for flag in sorted(defined.flags, key=lambda flag: flag.name)
        if flag.definition or archived == "true"
    ]
    await call.reply_value(FlagPage(object="list", number=defined.number, data=shown))


async def change_flags(door: Door, call: Call) -> None:
    """Make or change all flags of a document in flagd's format, or none of them.

    What it does not name stays as it is. Wants the permission `flags`.
    """
    author = author_of(call)
    _, fields = await call.fields(door.options.body_bytes_max)
    content = {name: raw for name, raw in fields.items() if name not in _OURS}
    wanted = split_document(msgspec.json.encode(content))
    asked = Asked(author=author, why=_why(fields), wanted=wanted, due_us=_due_us(fields))
    await call.reply_value(changes_shown(await door.flags.changes.make(asked)))


async def get_flag(door: Door, call: Call, flag_id: str) -> None:
    """Answer with a flag, archived or not, and with its changes that wait for their time."""
    flag = await door.flags.changes.flag(_name(flag_id))
    schedules = (await door.flags.changes.listed()).schedules
    await call.reply_value(flag_shown(flag, schedules))


async def set_flag(door: Door, call: Call, flag_id: str) -> None:
    """Make a flag, or change it; with `version`, only while it has that one.

    With `at` it is changed then. Wants the permission `flags`.
    """
    author = author_of(call)
    _, fields = await call.fields(door.options.body_bytes_max)
    required(fields, "definition", dict[str, msgspec.Raw])
    asked = Asked(
        author=author,
        why=_why(fields),
        wanted=split_document(_alone(_name(flag_id), fields["definition"])),
        expected=_expected(flag_id, member(fields, "version", int)),
        due_us=_due_us(fields),
    )
    await call.reply_value(changes_shown(await door.flags.changes.make(asked)))


async def archive_flag(door: Door, call: Call, flag_id: str) -> None:
    """Take a flag away: who asks for it is told that there is none. It can be rolled back."""
    author = author_of(call)
    query = call.query()
    version = query.get("version", "")
    if version and not version.isdecimal():
        raise refuse("Invalid 'version': a whole number.", param="version", code="invalid_value")
    asked = Asked(
        author=author,
        why=query.get("why", ""),
        wanted={_name(flag_id): b""},
        expected=_expected(flag_id, int(version) if version else None),
    )
    await call.reply_value(changes_shown(await door.flags.changes.make(asked)))


async def flag_history(door: Door, call: Call, flag_id: str) -> None:
    """Answer with the changes of a flag, the newest first: who, when, why, before and after."""
    query = call.query()
    limit, after = page_limit(query), query.get("after", "")
    if after and not after.isdecimal():
        raise refuse("Invalid 'after': a version.", param="after", code="invalid_value")
    before = min(int(after), _NEWEST) if after else _NEWEST
    found = await door.flags.changes.versions(_name(flag_id), before, limit + 1)
    page = found[:limit]
    await call.reply_value(
        {
            "object": "list",
            "data": [version_shown(one) for one in page],
            "last_id": str(page[-1].version) if page else None,
            "has_more": len(found) > limit,
        }
    )


async def roll_back_flag(door: Door, call: Call, flag_id: str) -> None:
    """Make a flag again what it was: in `version`, else in the one before; archived ones too."""
    author = author_of(call)
    _, fields = await call.fields(door.options.body_bytes_max)
    version = member(fields, "version", int) or 0
    if not 0 <= version <= _NEWEST:
        raise refuse("Invalid 'version': it never was.", param="version", code="invalid_value")
    asked = Asked(author=author, why=_why(fields))
    changed = await door.flags.changes.roll_back(asked, _name(flag_id), version)
    await call.reply_value(changes_shown(changed))


async def call_off_schedule(door: Door, call: Call, schedule_id: str) -> None:
    """See that a change that waits for its time is never made; wants the permission `flags`."""
    author = author_of(call)
    why = call.query().get("why", "")
    changed = await door.flags.changes.call_off(author, schedule_id, why)
    await call.reply_value(changes_shown(changed))


def author_of(call: Call) -> Author:
    """Return who changes flags."""
    caller = call.caller
    return Author(org_id=caller.org_id, user=caller.user, credential_id=caller.credential_id)


def _name(flag_id: str) -> str:
    """Return the name in the path; what cannot be one is not there."""
    if not is_name(flag_id):
        raise UnknownFlag(flag_id[:100])
    return flag_id


def _alone(name: str, definition: msgspec.Raw) -> bytes:
    """Return the document that defines one flag, or one shared rule."""
    if name.startswith(RULE_MARK):
        rules = {name.removeprefix(RULE_MARK): definition}
        return msgspec.json.encode({"flags": {}, "$evaluators": rules})
    return msgspec.json.encode({"flags": {name: definition}})


def _expected(name: str, version: int | None) -> dict[str, int]:
    return {} if version is None else {name: version}


def _why(fields: Fields) -> str:
    return member(fields, "why", str) or ""


def _due_us(fields: Fields) -> int:
    """Return when it shall be done, 0 for now."""
    at = member(fields, "at", datetime)
    if at is None:
        return 0
    if at.tzinfo is None:
        raise refuse("Invalid 'at': it has no time zone.", param="at", code="invalid_value")
    return int(at.timestamp() * MICROS_PER_SECOND)
