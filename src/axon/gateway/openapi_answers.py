"""The shapes of what is answered, for `/openapi.json`.

An object names the members that are always there; what an engine or OpenAI adds stands beside them.
"""

from typing import Any, Literal

import msgspec

from axon.billing import InvoiceShown
from axon.gateway.alert_shapes import (
    AlertsShown,
    DeliveriesShown,
    Redelivery,
    WebhookMade,
    WebhooksShown,
)
from axon.gateway.experiment_shapes import EXPERIMENT_ANSWERS
from axon.gateway.flag_shapes import FLAG_ANSWERS
from axon.gateway.openapi_audit import AUDIT_ANSWERS
from axon.gateway.openapi_conversations import CONVERSATION_ANSWERS
from axon.gateway.openapi_events import EVENTS_ANSWERS
from axon.gateway.openapi_turns import TURN_ANSWERS
from axon.gateway.price_shapes import PricePage, PriceSet


class ErrorDetail(msgspec.Struct):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct):
    """OpenAI's error object."""

    error: ErrorDetail


class Deleted(msgspec.Struct):
    """What was deleted."""

    id: str
    object: str
    deleted: Literal[True]


class Model(msgspec.Struct):
    """A model a client may name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(msgspec.Struct):
    """Every model a client may name."""

    object: Literal["list"]
    data: list[Model]


class UserPass(msgspec.Struct):
    """A pass for one person."""

    object: Literal["user_pass"]
    value: str
    expires_at: int


class UsageBucket(msgspec.Struct):
    """What was used in one bucket of time."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    results: list[dict[str, Any]]


class UsagePage(msgspec.Struct):
    """A page of buckets, the oldest first."""

    object: Literal["page"]
    data: list[UsageBucket]
    has_more: bool
    next_page: str | None


class Limit(msgspec.Struct):
    """One of the caller's limits."""

    id: str
    object: Literal["limit"]
    measure: str
    period: str | None
    """minute, day or month; concurrent turns have none."""
    currency: str | None
    """Of money, whose amounts are in nano-units of it."""
    kind: str
    overage_percent: int
    """By how much what goes beyond the amount costs more than its price."""
    amount: int
    used: int
    remaining: int
    resets_at: int | None


class Limits(msgspec.Struct):
    """The caller's limits."""

    object: Literal["list"]
    tier: str
    data: list[Limit]


class LimitRule(msgspec.Struct):
    """A rule as an administrator defines it."""

    id: str
    object: Literal["limit_rule"]
    measure: str
    period: str | None
    currency: str | None
    amount: int
    kind: str
    grace: int
    overage_percent: int
    tier: str | None
    org_id: str | None
    user: str | None
    key_id: str | None
    model: str | None
    apart: list[str]


class LimitRules(msgspec.Struct):
    """Every rule."""

    object: Literal["list"]
    data: list[LimitRule]


class Tier(msgspec.Struct):
    """A set of rules that organizations are put into."""

    id: str
    object: Literal["tier"]
    description: str
    queue_share: int
    """Percent of the job queue that is kept for it; 0 for none."""


class Tiers(msgspec.Struct):
    """Every tier."""

    object: Literal["list"]
    data: list[Tier]


class TierDeleted(msgspec.Struct):
    """A tier that was removed, and the rules that were removed with it."""

    id: str
    object: Literal["tier.deleted"]
    deleted: Literal[True]
    limit_rules: list[str]


class StripeEvent(msgspec.Struct):
    """An event of Stripe's, and whether it was one that somebody waits for."""

    object: Literal["stripe_event"]
    kept: bool


class State(msgspec.Struct):
    """How the process is."""

    status: str


class Status(msgspec.Struct):
    """The state of each dependency."""


class Description(msgspec.Struct):
    """This document."""

    openapi: str


class InvoicePage(msgspec.Struct):
    """Invoices without their lines."""

    object: Literal["list"]
    data: list[InvoiceShown]


ANSWERS: dict[str, type[msgspec.Struct] | None] = {
    **TURN_ANSWERS,
    **CONVERSATION_ANSWERS,
    "models.list_models": Models,
    "passes.create_pass": UserPass,
    "usage.own_usage": UsagePage,
    "usage.completions_usage": UsagePage,
    "usage.costs": UsagePage,
    "invoices.list_invoices": InvoicePage,
    "invoices.get_invoice": InvoiceShown,
    "alerts.list_alerts": AlertsShown,
    "alerts.list_deliveries": DeliveriesShown,
    "alerts.redeliver": Redelivery,
    "alerts.list_webhooks": WebhooksShown,
    "alerts.add_webhook": WebhookMade,
    "alerts.remove_webhook": Deleted,
    "limits.get_limits": Limits,
    "limits.list_rules": LimitRules,
    "limits.set_rule": LimitRule,
    "limits.remove_rule": Deleted,
    "stripe_events.take_event": StripeEvent,
    "prices.list_prices": PricePage,
    "prices.set_price": PriceSet,
    "tiers.list_tiers": Tiers,
    "tiers.get_tier": Tier,
    "tiers.set_tier": Tier,
    "tiers.remove_tier": TierDeleted,
    **EVENTS_ANSWERS,
    **FLAG_ANSWERS,
    **AUDIT_ANSWERS,
    **EXPERIMENT_ANSWERS,
    "models.get_model": Model,
    "stored_chat.delete_completion": Deleted,
    "stored_responses.delete_response": Deleted,
    "conversation_events.follow_conversation": None,
    "conversations.delete_conversation": Deleted,
    "operation.healthz": State,
    "operation.readyz": State,
    "operation.status": Status,
    "operation.metrics": None,
    "routing.openapi": Description,
}
"""The JSON object of each operation; None where it answers with text only."""

NO_CONTENT = frozenset({"outside_events.send_events"})
"""The operations that answer with a status alone."""

STREAMS = frozenset(
    {
        "chat.create_completion",
        "completions.create_completion",
        "responses.create_response",
        "stored_responses.get_response",
        "conversation_regenerate.regenerate",
        "conversation_events.follow_conversation",
        "ofrep.follow_changes",
    }
)
"""The operations that can answer with server-sent events."""

OTHER_FORMS: dict[str, tuple[str, ...]] = {
    "invoices.get_invoice": ("text/csv", "text/html"),
    "subjects.export_person": ("application/zip",),
    "experiments.get_results": ("text/html",),
}
"""The operations that can answer with text of other kinds beside JSON."""
