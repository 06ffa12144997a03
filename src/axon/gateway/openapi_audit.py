"""What `/openapi.json` says of feedback, the audit and people's data."""

from typing import Any

import msgspec

from axon.gateway.audit_shapes import (
    AccessPage,
    ContentShown,
    HoldPage,
    HoldShown,
    RequestPage,
    RequestShown,
    TurnPage,
    TurnShown,
)
from axon.gateway.feedback_shapes import FeedbackDeleted, FeedbackPage, FeedbackShown
from axon.gateway.subjects import ReceiptPage, ReceiptShown
from axon.gateway.training import ConsentShown, ExportShown, PolicyShown
from axon.training import Format, Policy

AUDIT_ANSWERS: dict[str, type[msgspec.Struct] | None] = {
    "feedback.give_feedback": FeedbackShown,
    "feedback.list_feedback": FeedbackPage,
    "feedback.get_feedback": FeedbackShown,
    "feedback.withdraw_feedback": FeedbackDeleted,
    "audit.search_turns": TurnPage,
    "audit.get_turn": TurnShown,
    "audit.read_content": ContentShown,
    "audit.list_accesses": AccessPage,
    "audit.request_reading": RequestShown,
    "audit.list_requests": RequestPage,
    "audit.approve_request": RequestShown,
    "audit.list_holds": HoldPage,
    "audit.set_hold": HoldShown,
    "audit.release_hold": HoldShown,
    "subjects.erase_person": ReceiptShown,
    "subjects.export_person": None,
    "subjects.list_receipts": ReceiptPage,
    "training.get_policy": PolicyShown,
    "training.set_policy": PolicyShown,
    "training.get_consent": ConsentShown,
    "training.say_consent": ConsentShown,
    "training.export_examples": ExportShown,
}

AUDIT_SPECIAL: dict[str, tuple[int, ...]] = {
    "feedback.give_feedback": (404,),
    "feedback.withdraw_feedback": (),
    "audit.request_reading": (404,),
    "audit.approve_request": (409,),
    "audit.set_hold": (404,),
    "subjects.erase_person": (404, 409),
    "subjects.export_person": (404,),
    "training.get_consent": (404,),
    "training.say_consent": (404,),
}

_REASON: dict[str, Any] = {"reason": str}
_REASONED = "a complaint of the customer"
_PERSON: dict[str, Any] = {"user": str, "user_id": str, **_REASON}

AUDIT_BODIES: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, Any]]] = {
    "feedback.give_feedback": (
        {
            "response_id": str,
            "rating": str,
            "comment": str,
            "edited": str,
            "preferred_over": str,
            "user": str,
            "safety_identifier": str,
        },
        ("response_id",),
        {"response_id": "resp_0", "rating": "up", "comment": "just what I needed"},
    ),
    "audit.read_content": (
        {**_REASON, "request": str},
        ("reason",),
        {"reason": _REASONED},
    ),
    "audit.request_reading": (
        {"turn": str, **_REASON},
        ("turn", "reason"),
        {"turn": "resp_0", "reason": _REASONED},
    ),
    "audit.approve_request": (_REASON, ("reason",), {"reason": _REASONED}),
    "audit.set_hold": (
        {**_PERSON, "conversation": str},
        ("reason",),
        {"user": "ada", "reason": "a lawsuit"},
    ),
    "subjects.erase_person": (_PERSON, ("reason",), {"user": "bob", "reason": "asked to be"}),
    "subjects.export_person": (_PERSON, ("reason",), {"user": "bob", "reason": "asked for it"}),
    "training.set_policy": (
        {"policy": Policy, **_REASON},
        ("policy", "reason"),
        {"policy": "opted_in", "reason": "the contract says so"},
    ),
    "training.say_consent": (
        {"consent": bool, **_PERSON},
        ("consent",),
        {"consent": True, "user": "bob", "reason": "asked in the app"},
    ),
    "training.export_examples": (
        {
            "format": Format,
            "since": int,
            "until": int,
            "model": str,
            "liked": bool,
            "after": str,
            "limit": int,
            **_REASON,
        },
        ("format", "reason"),
        {"format": "preference", "reason": "the next version of our model"},
    ),
}
"""By operation: the members, those that are needed, an example."""
