"""`/v1/training`: who agreed that models learn from what they said, and the examples made of it."""

from typing import Literal

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.gateway.audit import auditor_of
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import member, required
from axon.gateway.problem import refuse
from axon.gateway.subjects import whom
from axon.training import FORMATS, PAGE_TURNS_MAX, Format, Policy, TrainingFilter, TrainingPage
from axon.turns import Fields

_SECONDS_MAX = 2**33
"""In the year 2242."""

_OWN_CHOICE = "their own choice"
"""Stands in the log where a person who decides for themself gives no reason."""


class PolicyShown(msgspec.Struct, kw_only=True):
    """What an organization allows: nobody, who said yes, or everybody who did not say no."""

    object: Literal["training.policy"] = "training.policy"
    policy: Policy


class ConsentShown(msgspec.Struct, kw_only=True):
    """What a person said; null for nothing."""

    object: Literal["training.consent"] = "training.consent"
    user_id: str
    consent: bool | None


class ExportShown(msgspec.Struct, kw_only=True):
    """Examples made of some turns, in the order of the turns."""

    object: Literal["training.page"] = "training.page"
    format: Format
    data: list[msgspec.Raw]
    turns: int
    """That were looked at for this page."""
    total: int | None
    """That the whole export looks at; on the first page alone, and null for very many."""
    bases: dict[str, int]
    dropped: dict[str, int]
    """Turns of which nothing was made, by why."""
    hidden: dict[str, int]
    """Values that were hidden, by kind."""
    redactor: str
    last_id: str | None
    has_more: bool


async def get_policy(door: Door, call: Call) -> None:
    """Answer with what the organization allows models to learn from; `off` until somebody says."""
    policy = await door.people.consents.policy(call.caller.org_id)
    await call.reply_value(PolicyShown(policy=msgspec.convert(policy, Policy)))


async def set_policy(door: Door, call: Call) -> None:
    """Say what the organization allows: `off`, `opted_in` or `all`.

    Whoever is kept in the EU must have agreed themself even where all may be used.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    policy: Policy = required(fields, "policy", Policy)  # type: ignore[arg-type]
    who = auditor_of(call, member(fields, "reason", str) or "")
    await door.people.consents.set_policy(who, policy)
    await call.reply_value(PolicyShown(policy=policy))


async def get_consent(door: Door, call: Call) -> None:
    """Answer with whether a person agreed that models learn from what they said.

    A moment after they did. Whom, is said by `user` or `user_id` as for exporting a person.
    """
    query = call.query()
    owner = await whom(
        door, call, {name: query[name] for name in ("user", "user_id") if name in query}
    )
    consent = await door.people.consents.of(owner.org_id, owner.user)
    await call.reply_value(ConsentShown(user_id=f"{owner.user:016x}", consent=consent))


async def say_consent(door: Door, call: Call) -> None:
    """Agree that models learn from what one said, or refuse it; later exports heed it.

    The caller's own person, or whom `user` or `user_id` names for a key that acts for users or has
    the permission `privacy_officer`. Somebody else's wants a `reason`.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    agreed = required(fields, "consent", bool)
    owner = await whom(door, call, _named(fields))
    own = "" if owner.user != call.caller.user else _OWN_CHOICE
    who = auditor_of(call, member(fields, "reason", str) or own)
    await door.people.consents.say(who, owner.user, agreed=agreed)
    await call.reply_value(ConsentShown(user_id=f"{owner.user:016x}", consent=agreed))


async def export_examples(door: Door, call: Call) -> None:
    """Answer with the next examples of what people agreed to, redacted; wants `trainer`.

    `format` is sft, sharegpt, unpaired, preference or openai; `after` is the `last_id` of the page
    before. Each page is in the audit's log, with its reason, before it is shown.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    who = auditor_of(call, member(fields, "reason", str) or "")
    wanted = _wanted(door, fields)
    limit = member(fields, "limit", int)
    limit = PAGE_TURNS_MAX if limit is None else limit
    if not 1 <= limit <= PAGE_TURNS_MAX:
        message = f"Invalid 'limit': 1 to {PAGE_TURNS_MAX} turns."
        raise refuse(message, param="limit", code="invalid_value")
    after = member(fields, "after", str) or ""
    exports = door.people.training
    total = await exports.count(who.org_id, wanted) if not after else None
    page = await exports.page(who, wanted, _place(after), limit)
    await call.reply_value(_shown(wanted.format, page, total))


def _shown(name: Format, page: TrainingPage, total: int | None) -> ExportShown:
    at_us, turn_id = page.last
    return ExportShown(
        format=name,
        data=[msgspec.Raw(one) for one in page.examples],
        turns=page.turns,
        total=total,
        bases=dict(page.bases),
        dropped=dict(page.dropped),
        hidden=dict(page.hidden),
        redactor=page.redactor,
        last_id=f"{at_us}.{turn_id}" if turn_id else None,
        has_more=page.has_more,
    )


def _wanted(door: Door, fields: Fields) -> TrainingFilter:
    name = required(fields, "format", str)
    if name not in FORMATS:
        message = f"Invalid 'format': one of {', '.join(FORMATS)}."
        raise refuse(message, param="format", code="invalid_value")
    until_us = _micros(fields, "until")
    model = member(fields, "model", str) or ""
    if "\0" in model:
        raise refuse("Invalid 'model'.", param="model", code="invalid_value")
    return TrainingFilter(
        format=name,
        since_us=_micros(fields, "since") or 0,
        until_us=door.clock.now_us() if until_us is None else until_us,
        model=model,
        liked=member(fields, "liked", bool) or False,
    )


def _micros(fields: Fields, name: str) -> int | None:
    seconds = member(fields, name, int)
    if seconds is None:
        return None
    if not 0 <= seconds <= _SECONDS_MAX:
        message = f"Invalid '{name}': seconds since 1970 are wanted."
        raise refuse(message, param=name, code="invalid_value")
    return seconds * MICROS_PER_SECOND


def _place(after: str) -> tuple[int, str]:
    """Return the instant and id of the last turn of the page before."""
    if not after:
        return 0, ""
    at_us, _, name = after.partition(".")
    good = at_us.isascii() and at_us.isdigit() and len(at_us) <= 18
    if not good or not name or "\0" in name:
        raise refuse("Invalid 'after': no `last_id`.", param="after", code="invalid_value")
    return int(at_us), name


def _named(fields: Fields) -> dict[str, str]:
    return {name: text for name in ("user", "user_id") if (text := member(fields, name, str))}
