"""`/v1/feedback`: what a person thought of an answer."""

from collections.abc import Mapping

from axon.base import MICROS_PER_SECOND
from axon.conversations import Owner
from axon.feedback import FeedbackQuestion, Given
from axon.gateway.access import JUDGED
from axon.gateway.call import Call
from axon.gateway.conversation_object import person_of
from axon.gateway.door import Door
from axon.gateway.feedback_shapes import (
    FeedbackDeleted,
    FeedbackPage,
    feedback_shown,
    without_words,
)
from axon.gateway.members import member, required
from axon.gateway.pages import page_limit, page_model
from axon.gateway.problem import not_found, refuse

COMMENT_CHARS_MAX = 10_000
EDITED_CHARS_MAX = 1_000_000

_RATINGS = ("up", "down")
_PREFIXES = ("resp", "chatcmpl", "cmpl")
"""Of the ids of what can be judged."""

_SECONDS_DIGITS_MAX = 11


async def give_feedback(door: Door, call: Call) -> None:
    """Say what a person thought of an answer: thumbs, a comment, the answer as it should have been.

    It stands in the place of what was said of that answer before, so a request may be repeated.
    `preferred_over` names the other answer of a pair, as of a question that was asked again.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    response_id = required(fields, "response_id", str)
    owner = owner_of_answer(door, call, response_id)
    given = Given(
        rating=member(fields, "rating", str) or "",
        comment=member(fields, "comment", str) or "",
        edited=member(fields, "edited", str) or "",
        preferred_over=member(fields, "preferred_over", str) or "",
    )
    _check(given)
    if given.preferred_over and owner_of_answer(door, call, given.preferred_over) != owner:
        raise refuse("Invalid 'preferred_over': it is somebody else's.", param="preferred_over")
    at_us = await door.people.feedback.give(owner, call.caller.credential_id, response_id, given)
    await call.reply_value(feedback_shown(response_id, owner, at_us, given))


async def list_feedback(door: Door, call: Call) -> None:
    """Answer with feedback, the newest first: a person's own, or the organization's.

    By time, model, rating, flag and variant. It is there a moment after it was given.
    """
    query = call.query()
    whole = query.get("of", "person") == "organization"
    if whole:
        JUDGED.require(call.caller)
    owner = person_of(door, call, query)
    limit = page_limit(query)
    flag, _, variant = query.get("variant", "").partition(":")
    asked = FeedbackQuestion(
        org_id=owner.org_id,
        user=None if whole else owner.user,
        since_us=instant_us(query, "since", 0),
        until_us=instant_us(query, "until", 2**62),
        rating=_one_of(query, "rating", _RATINGS),
        model=page_model(query) or "",
        flag=plain(query.get("flag", "") or flag),
        variant=plain(variant),
        before=place_before(query),
        limit=limit + 1,
    )
    found = await door.people.feedback.page(asked)
    page = found[:limit]
    shown = [feedback_shown(one.turn_id, one.owner, one.at_us, one) for one in page]
    if whole and not call.caller.acts_for_users:
        shown = [without_words(one) for one in shown]
    last = page[-1] if page else None
    await call.reply_value(
        FeedbackPage(
            object="list",
            data=shown,
            last_id=f"{last.at_us}.{last.turn_id}" if last else None,
            has_more=len(found) > limit,
        )
    )


async def get_feedback(door: Door, call: Call, response_id: str) -> None:
    """Answer with what was said of an answer."""
    owner = owner_of_answer(door, call, response_id)
    found = await door.people.feedback.one(owner, response_id)
    await call.reply_value(feedback_shown(response_id, owner, found.at_us, found))


async def withdraw_feedback(door: Door, call: Call, response_id: str) -> None:
    """Take back what was said of an answer."""
    owner = owner_of_answer(door, call, response_id)
    await door.people.feedback.withdraw(owner, call.caller.credential_id, response_id)
    deleted = FeedbackDeleted(id=response_id, object="feedback.deleted", deleted=True)
    await call.reply_value(deleted)


def owner_of_answer(door: Door, call: Call, response_id: str) -> Owner:
    """Return whose answer an id names; a 404 when it is not the caller's to see."""
    prefix = response_id.partition("_")[0]
    if prefix not in _PREFIXES:
        raise not_found(f"Response with id '{response_id[:100]}' not found.")
    return door.owner(call, response_id, prefix)


def instant_us(query: Mapping[str, str], name: str, usual: int) -> int:
    """Return an instant given in seconds since 1970; refuse what is none."""
    text = query.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) <= _SECONDS_DIGITS_MAX):
        message = f"Invalid '{name}': seconds since 1970."
        raise refuse(message, param=name, code="invalid_value")
    return int(text) * MICROS_PER_SECOND


def place_before(query: Mapping[str, str]) -> tuple[int, str] | None:
    """Return the place of the last one of the page before: its instant and id."""
    text = query.get("after")
    if not text:
        return None
    at_us, _, name = text.partition(".")
    good = at_us.isascii() and at_us.isdigit() and len(at_us) <= 18
    if not good or not name or "\0" in name:
        raise refuse("Invalid 'after': no `last_id`.", param="after", code="invalid_value")
    return int(at_us), name


def plain(text: str) -> str:
    """Return a word that is looked for; refuse what no table holds."""
    if "\0" in text:
        raise refuse("The character U+0000 is nowhere.", code="invalid_value")
    return text


def _check(given: Given) -> None:
    if given.rating not in ("", *_RATINGS):
        raise refuse("Invalid 'rating': up or down.", param="rating", code="invalid_value")
    if not (given.rating or given.comment or given.edited):
        message = "Give a 'rating', a 'comment' or an 'edited' answer."
        raise refuse(message, param="rating", code="missing_required_parameter")
    for name, most in (("comment", COMMENT_CHARS_MAX), ("edited", EDITED_CHARS_MAX)):
        if len(getattr(given, name)) > most:
            message = f"Invalid '{name}': at most {most} characters."
            raise refuse(message, param=name, code="string_above_max_length")


def _one_of(query: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    text = query.get(name, "")
    if text not in ("", *words):
        raise refuse(f"Invalid '{name}'.", param=name, code="invalid_value")
    return text
