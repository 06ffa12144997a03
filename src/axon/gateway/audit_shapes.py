"""The audit as it is shown; times are seconds since 1970, users are numbers as in usage."""

from typing import Literal

import msgspec

from axon.audit import Access, AuditedTurn, AuditView, Hold, OpenedItem, ReadRequest
from axon.base import MICROS_PER_SECOND
from axon.deeds import Actor
from axon.gateway.feedback_shapes import FeedbackShown

Members = dict[str, str | int | bool | list[str] | None]
"""The columns of a row that was changed, as JSON has them."""


class TurnShown(msgspec.Struct):
    """A turn without what was said in it."""

    id: str
    object: Literal["audit.turn"]
    user_id: str
    api_key_id: str
    conversation_id: str | None
    surface: str
    model: str
    served_model: str | None
    """Which a flag's variant chose instead."""
    upstream: str | None
    upstream_id: str | None
    safety: str | None
    verdicts: list[str]
    """What safety did, as stage:action: output:redacted."""
    variants: list[str]
    """As flag:variant."""
    status: str
    reason: str | None
    accepted_at: int
    completed_at: int | None
    first_token_ms: int | None
    input_tokens: int
    output_tokens: int
    currency: str | None
    cost_nano: int
    rating: str | None
    journal: str
    sequences: list[int]
    """Of its records in that journal."""


class TurnPage(msgspec.Struct):
    """A page of turns, the newest first."""

    object: Literal["list"]
    data: list[TurnShown]
    last_id: str | None
    has_more: bool


class ContentShown(msgspec.Struct):
    """All of a turn."""

    id: str
    object: Literal["audit.content"]
    turn: TurnShown
    erased: bool
    """Whether any of it can be read by nobody again."""
    request: msgspec.Raw
    """The client's body, with every parameter."""
    steering: msgspec.Raw
    """What flags' variants did to it."""
    input: list[OpenedItem]
    output: list[OpenedItem]
    answer: msgspec.Raw
    feedback: FeedbackShown | None


class AccessShown(msgspec.Struct):
    """Somebody reached for what others said."""

    id: str
    object: Literal["audit.access"]
    user_id: str
    api_key_id: str
    at: int
    action: str
    subject_id: str | None
    objects: list[str]
    reason: str
    origin: str
    """api, command, database or axon."""
    name: str
    """Of the account that gave a command, or of whom PostgreSQL knows."""
    place: str
    """Where a change was made: a client's address, or a host."""
    before: Members | None
    """What was changed, without secrets; null for what is no change of configuration."""
    after: Members | None


class AccessPage(msgspec.Struct):
    """A page of accesses, the newest first."""

    object: Literal["list"]
    data: list[AccessShown]
    last_id: str | None
    has_more: bool


class RequestShown(msgspec.Struct):
    """Somebody asks to read a turn."""

    id: str
    object: Literal["audit.request"]
    user_id: str
    turn: str
    reason: str
    state: str
    """waiting or approved."""
    asked_at: int
    approved_by: str | None
    approved_at: int | None


class RequestPage(msgspec.Struct):
    """The newest requests."""

    object: Literal["list"]
    data: list[RequestShown]


class HoldShown(msgspec.Struct):
    """What must neither be erased nor expire."""

    id: str
    object: Literal["audit.hold"]
    user_id: str
    conversation: str | None
    reason: str
    held_at: int


class HoldPage(msgspec.Struct):
    """The holds in force."""

    object: Literal["list"]
    data: list[HoldShown]


def number_shown(user: int) -> str:
    """Return a person's number as it is shown."""
    return f"{user:016x}"


def turn_shown(turn: AuditedTurn) -> TurnShown:
    """Return a turn as it is shown."""
    first_us = turn.first_token_us - turn.accepted_us if turn.first_token_us else None
    return TurnShown(
        id=turn.turn_id,
        object="audit.turn",
        user_id=number_shown(turn.user),
        api_key_id=turn.credential_id,
        conversation_id=turn.conversation_id or None,
        surface=turn.surface,
        model=turn.model,
        served_model=turn.variant_model or None,
        upstream=turn.upstream or None,
        upstream_id=turn.upstream_id or None,
        safety=turn.safety or None,
        verdicts=turn.verdicts,
        variants=turn.variants,
        status=turn.status,
        reason=turn.reason or None,
        accepted_at=turn.accepted_us // MICROS_PER_SECOND,
        completed_at=turn.completed_us // MICROS_PER_SECOND if turn.completed_us else None,
        first_token_ms=None if first_us is None else first_us // 1000,
        input_tokens=turn.input_tokens,
        output_tokens=turn.output_tokens,
        currency=turn.currency or None,
        cost_nano=turn.cost_nano,
        rating=turn.rating or None,
        journal=turn.instance,
        sequences=[one for one in (turn.accepted_sequence, turn.ended_sequence) if one],
    )


def content_shown(view: AuditView, feedback: FeedbackShown | None) -> ContentShown:
    """Return all of a turn as it is shown."""
    opened = view.opened
    return ContentShown(
        id=view.turn.turn_id,
        object="audit.content",
        turn=turn_shown(view.turn),
        erased=opened.erased,
        request=opened.request,
        steering=opened.steering,
        input=opened.input,
        output=opened.output,
        answer=opened.answer,
        feedback=feedback,
    )


def access_shown(access: Access) -> AccessShown:
    """Return an access as it is shown."""
    deed = access.deed
    actor = Actor(origin="api") if deed is None else deed.actor
    return AccessShown(
        id=access.access_id,
        object="audit.access",
        user_id=number_shown(access.user) if access.user >= 0 else "",
        api_key_id=access.credential_id,
        at=access.at_us // MICROS_PER_SECOND,
        action=access.action,
        subject_id=number_shown(access.subject) if access.subject >= 0 else None,
        objects=access.objects,
        reason=access.reason,
        origin=actor.origin,
        name=actor.name,
        place=actor.place,
        before=None if deed is None else _members(deed.was),
        after=None if deed is None else _members(deed.became),
    )


def _members(text: str) -> Members | None:
    return msgspec.json.decode(text, type=Members) if text else None


def request_shown(request: ReadRequest) -> RequestShown:
    """Return a request as it is shown."""
    approved = request.approved_by is not None
    return RequestShown(
        id=request.request_id,
        object="audit.request",
        user_id=number_shown(request.user),
        turn=request.turn_id,
        reason=request.reason,
        state="approved" if approved else "waiting",
        asked_at=request.asked_us // MICROS_PER_SECOND,
        approved_by=None if request.approved_by is None else number_shown(request.approved_by),
        approved_at=request.approved_us // MICROS_PER_SECOND if approved else None,
    )


def hold_shown(hold: Hold) -> HoldShown:
    """Return a hold as it is shown."""
    return HoldShown(
        id=hold.hold_id,
        object="audit.hold",
        user_id=number_shown(hold.user),
        conversation=hold.conversation_id or None,
        reason=hold.reason,
        held_at=hold.held_us // MICROS_PER_SECOND,
    )
