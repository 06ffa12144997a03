"""Feedback as it is shown; times are seconds since 1970."""

from typing import Literal, Protocol

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import Owner


class FeedbackShown(msgspec.Struct):
    """What was said of one answer."""

    response_id: str
    object: Literal["feedback"]
    user_id: str
    """The person's number, as in usage."""
    rating: str | None
    comment: str | None
    edited: str | None
    preferred_over: str | None
    created_at: int
    model: str | None
    variants: list[str]
    """Those of flags that the answer had, as flag:variant; known a moment after it."""


class FeedbackPage(msgspec.Struct):
    """A page of feedback, the newest first."""

    object: Literal["list"]
    data: list[FeedbackShown]
    last_id: str | None
    has_more: bool


class FeedbackDeleted(msgspec.Struct):
    """That nothing is said of an answer any more."""

    id: str
    object: Literal["feedback.deleted"]
    deleted: bool


def without_words(shown: FeedbackShown) -> FeedbackShown:
    """Return the feedback without what was written."""
    return msgspec.structs.replace(shown, comment=None, edited=None)


class _Said(Protocol):
    @property
    def rating(self) -> str: ...
    @property
    def comment(self) -> str | None: ...
    @property
    def edited(self) -> str | None: ...
    @property
    def preferred_over(self) -> str: ...


def feedback_shown(response_id: str, owner: Owner, at_us: int, said: _Said) -> FeedbackShown:
    """Return feedback as it is shown."""
    return FeedbackShown(
        response_id=response_id,
        object="feedback",
        user_id=f"{owner.user:016x}",
        rating=said.rating or None,
        comment=said.comment or None,
        edited=said.edited or None,
        preferred_over=said.preferred_over or None,
        created_at=at_us // MICROS_PER_SECOND,
        model=getattr(said, "model", "") or None,
        variants=list(getattr(said, "variants", ())),
    )
