"""`/v1/audit`: turns for auditors, who read them, and what may not be forgotten."""

import dataclasses
from collections.abc import Mapping

from axon.audit import Auditor, AuditQuestion
from axon.conversations import Owner
from axon.feedback import UnknownFeedback
from axon.gateway.audit_shapes import (
    AccessPage,
    HoldPage,
    RequestPage,
    TurnPage,
    access_shown,
    content_shown,
    hold_shown,
    request_shown,
    turn_shown,
)
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.feedback import instant_us, place_before, plain
from axon.gateway.feedback_shapes import FeedbackShown, feedback_shown
from axon.gateway.members import member, required
from axon.gateway.pages import page_limit, page_model
from axon.gateway.problem import not_found, refuse

REASON_CHARS_MAX = 1000

_PREFIXES = ("resp", "chatcmpl", "cmpl", "embd")
_USER_DIGITS = 16
_FEEDBACK = ("", "up", "down", "any")


async def search_turns(door: Door, call: Call) -> None:
    """Answer with the organization's turns without what was said in them, the newest first.

    By time, person, model, variant, flag, feedback, status, and safety's level and verdict. Wants
    the permission `auditor` or `operator`.
    """
    query = call.query()
    limit = page_limit(query)
    feedback = query.get("feedback", "")
    if feedback not in _FEEDBACK:
        message = "Invalid 'feedback': up, down or any."
        raise refuse(message, param="feedback", code="invalid_value")
    asked = AuditQuestion(
        org_id=call.caller.org_id,
        since_us=instant_us(query, "since", 0),
        until_us=instant_us(query, "until", 2**62),
        user=person_named(door, call, query),
        model=page_model(query) or "",
        variant=plain(query.get("variant", "")),
        flag=plain(query.get("flag", "")),
        feedback=feedback,
        status=plain(query.get("status", "")),
        safety=plain(query.get("safety", "")),
        verdict=plain(query.get("verdict", "")),
        before=place_before(query),
        limit=limit + 1,
    )
    found = await door.people.audit.search(asked)
    page = found[:limit]
    last = f"{page[-1].accepted_us}.{page[-1].turn_id}" if page else None
    data = [turn_shown(one) for one in page]
    await call.reply_value(
        TurnPage(object="list", data=data, last_id=last, has_more=len(found) > limit)
    )


async def get_turn(door: Door, call: Call, turn_id: str) -> None:
    """Answer with one turn without what was said in it; wants `auditor` or `operator`."""
    turn = await door.people.audit.turn(_owner(door, call, turn_id), turn_id)
    await call.reply_value(turn_shown(turn))


async def read_content(door: Door, call: Call, turn_id: str) -> None:
    """Answer with all of a turn, once it is durable who read it and why; wants `auditor`.

    A `reason` must be given. Where two people must agree, `request` is one of the auditor's own
    that another approved.
    """
    auditor = await _auditor(door, call)
    _, fields = await call.fields(door.options.body_bytes_max)
    request_id = member(fields, "request", str) or ""
    owner = _owner(door, call, turn_id)
    view = await door.people.audit.read(auditor, owner, turn_id, plain(request_id))
    feedback = await _feedback(door, owner, turn_id) if view.turn.has_feedback else None
    await call.reply_value(content_shown(view, feedback))


async def list_accesses(door: Door, call: Call) -> None:
    """Answer with who read what and why, the newest first; wants `auditor` or `privacy_officer`."""
    query = call.query()
    limit = page_limit(query)
    before = place_before(query)
    found = await door.people.audit.accesses(call.caller.org_id, before, limit + 1)
    page = found[:limit]
    last = f"{page[-1].at_us}.{page[-1].access_id}" if page else None
    data = [access_shown(one) for one in page]
    await call.reply_value(
        AccessPage(object="list", data=data, last_id=last, has_more=len(found) > limit)
    )


async def request_reading(door: Door, call: Call) -> None:
    """Ask to read a turn, for another auditor to approve; wants `auditor`."""
    auditor = await _auditor(door, call)
    _, fields = await call.fields(door.options.body_bytes_max)
    turn_id = required(fields, "turn", str)
    made = await door.people.audit.ask(auditor, _owner(door, call, turn_id), turn_id)
    await call.reply_value(request_shown(made))


async def list_requests(door: Door, call: Call) -> None:
    """Answer with the newest requests to read turns; wants `auditor`."""
    found = await door.people.audit.requests(call.caller.org_id)
    data = [request_shown(one) for one in found]
    await call.reply_value(RequestPage(object="list", data=data))


async def approve_request(door: Door, call: Call, request_id: str) -> None:
    """Let another auditor read what they asked for, for a day; wants `auditor` and a `reason`."""
    auditor = await _auditor(door, call)
    approved = await door.people.audit.approve(auditor, plain(request_id))
    await call.reply_value(request_shown(approved))


async def list_holds(door: Door, call: Call) -> None:
    """Answer with the legal holds in force; wants `privacy_officer` or `auditor`."""
    found = await door.people.audit.holds(call.caller.org_id)
    await call.reply_value(HoldPage(object="list", data=[hold_shown(one) for one in found]))


async def set_hold(door: Door, call: Call) -> None:
    """See that nothing of a person, or of a conversation, is erased; wants `privacy_officer`.

    The person is `user`, by name, or `user_id`; a `conversation` says whose it is by itself.
    """
    auditor = await _auditor(door, call)
    _, fields = await call.fields(door.options.body_bytes_max)
    conversation_id = member(fields, "conversation", str) or ""
    named = {name: text for name in ("user", "user_id") if (text := member(fields, name, str))}
    if conversation_id:
        user = door.mint.read(conversation_id, "conv", call.caller.org_id).user
    else:
        found = await known_person(door, call, named)
        if found is None:
            message = "Name a 'user', a 'user_id' or a 'conversation'."
            raise refuse(message, param="user", code="missing_required_parameter")
        user = found
    await call.reply_value(hold_shown(await door.people.audit.hold(auditor, user, conversation_id)))


async def release_hold(door: Door, call: Call, hold_id: str) -> None:
    """End a legal hold, with a `reason` in the query; wants `privacy_officer`."""
    auditor = auditor_of(call, call.query().get("reason", ""))
    hold = await door.people.audit.release(auditor, plain(hold_id))
    await call.reply_value(hold_shown(hold))


def auditor_of(call: Call, reason: str) -> Auditor:
    """Return who asks, and why; refuse no reason."""
    if not reason.strip() or "\0" in reason or len(reason) > REASON_CHARS_MAX:
        message = f"Give a 'reason' of at most {REASON_CHARS_MAX} characters."
        raise refuse(message, param="reason", code="missing_required_parameter")
    caller = call.caller
    return Auditor(
        org_id=caller.org_id, user=caller.user, credential_id=caller.credential_id, reason=reason
    )


def person_named(door: Door, call: Call, query: Mapping[str, str]) -> int | None:
    """Return the number of whom `user` or `user_id` names; None where neither does."""
    number, name = query.get("user_id"), query.get("user")
    if number:
        if len(number) != _USER_DIGITS or not number.isascii() or not number.isalnum():
            raise refuse("Invalid 'user_id'.", param="user_id", code="invalid_value")
        try:
            found = int(number, 16)
        except ValueError:
            raise refuse("Invalid 'user_id'.", param="user_id", code="invalid_value") from None
        return min(found, 2**63 - 1)
    if name:
        named = dataclasses.replace(call.caller, acts_for_users=True)
        return door.accounts.subject(named, name)
    return None


async def known_person(door: Door, call: Call, named: Mapping[str, str]) -> int | None:
    """Return whom `user` or `user_id` names, None where neither does; raises UnknownPerson."""
    found = person_named(door, call, named)
    if found is not None and named.get("user_id") and found != call.caller.user:
        await door.people.audit.require_person(call.caller.org_id, found)
    return found


async def _auditor(door: Door, call: Call) -> Auditor:
    """Return who asks and why, as the body says."""
    _, fields = await call.fields(door.options.body_bytes_max)
    return auditor_of(call, member(fields, "reason", str) or "")


def _owner(door: Door, call: Call, turn_id: str) -> Owner:
    """Return whose turn an id names; a 404 for what is not of the caller's organization."""
    prefix = turn_id.partition("_")[0]
    if prefix not in _PREFIXES:
        raise not_found(f"Turn with id '{turn_id[:100]}' not found.")
    minted = door.mint.read(turn_id, prefix, call.caller.org_id)
    return Owner(org_id=call.caller.org_id, user=minted.user)


async def _feedback(door: Door, owner: Owner, turn_id: str) -> FeedbackShown | None:
    try:
        found = await door.people.feedback.one(owner, turn_id)
    except UnknownFeedback:  # it was withdrawn just now
        return None
    return feedback_shown(turn_id, owner, found.at_us, found)
