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
from axon.gateway.flag_shapes import FLAG_ANSWERS
from axon.gateway.openapi_events import EVENTS_ANSWERS


class ErrorDetail(msgspec.Struct):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct):
    """OpenAI's error object."""

    error: ErrorDetail


class Origin(msgspec.Struct):
    """Where a conversation left another."""

    conversation_id: str
    item_id: str | None


class Conversation(msgspec.Struct):
    """A conversation."""

    id: str
    object: Literal["conversation"]
    created_at: int
    """Seconds since 1970, as every `..._at` here."""
    metadata: dict[str, str]
    title: str | None
    archived: bool
    forked_from: Origin | None


class ConversationPage(msgspec.Struct):
    """A page of conversations."""

    object: Literal["list"]
    data: list[Conversation]
    first_id: str | None
    last_id: str | None
    has_more: bool


class StoredItem(msgspec.Struct):
    """An item as it is stored: a message, a call of a tool, its output, a reasoning, a summary."""

    id: str
    type: str


class ItemPage(msgspec.Struct):
    """A page of items."""

    object: Literal["list"]
    data: list[StoredItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ObjectPage(msgspec.Struct):
    """A page of objects."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class SearchResult(msgspec.Struct):
    """Where a conversation says something."""

    object: Literal["conversation.search_result"]
    conversation_id: str
    item_id: str | None
    title: str | None
    snippet: str


class SearchPage(msgspec.Struct):
    """A page of what was found."""

    object: Literal["list"]
    data: list[SearchResult]
    has_more: bool
    complete: bool
    """False when the search ended before it had looked at everything."""
    cursor: str | None


class Change(msgspec.Struct):
    """One change of a person's conversations."""

    object: Literal["sync.change"]
    type: str
    at: int
    conversation_id: str
    response_id: str | None
    item_ids: list[str]
    items: list[dict[str, Any]]
    conversation: Conversation | None


class Changes(msgspec.Struct):
    """The changes since a cursor."""

    object: Literal["sync"]
    data: list[Change]
    cursor: str
    has_more: bool


class Response(msgspec.Struct):
    """OpenAI's Response object."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]
    model: str
    output: list[dict[str, Any]]
    metadata: dict[str, str] | None
    conversation: dict[str, str] | None


class ChatCompletion(msgspec.Struct):
    """A chat completion, as the engine made it."""

    id: str
    choices: list[dict[str, Any]]


class Completion(msgspec.Struct):
    """A text completion, as the engine made it."""

    id: str
    choices: list[dict[str, Any]]


class Embeddings(msgspec.Struct):
    """The embeddings, in the order of the inputs."""

    data: list[dict[str, Any]]


class InputTokens(msgspec.Struct):
    """How long an input is."""

    object: Literal["response.input_tokens"]
    input_tokens: int
    counted_by: str
    """The engine, or an estimate that errs on the high side."""


class Compaction(msgspec.Struct):
    """A summary in place of a long input."""

    id: str
    object: Literal["response.compaction"]
    created_at: int
    output: list[dict[str, Any]]
    usage: dict[str, Any]


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
    "chat.create_completion": ChatCompletion,
    "responses.create_response": Response,
    "conversations.create_conversation": Conversation,
    "conversation_list.list_conversations": ConversationPage,
    "conversation_search.search_conversations": SearchPage,
    "sync.sync": Changes,
    "stored_chat.list_completions": ObjectPage,
    "response_items.count_input_tokens": InputTokens,
    "compaction.compact_input": Compaction,
    "embeddings.create_embeddings": Embeddings,
    "completions.create_completion": Completion,
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
    **EVENTS_ANSWERS,
    **FLAG_ANSWERS,
    "models.get_model": Model,
    "stored_chat.get_completion": ChatCompletion,
    "stored_chat.update_completion": ChatCompletion,
    "stored_chat.delete_completion": Deleted,
    "stored_chat.list_messages": ObjectPage,
    "stored_responses.get_response": Response,
    "stored_responses.delete_response": Deleted,
    "stored_responses.cancel_response": Response,
    "response_items.list_input_items": ItemPage,
    "conversation_events.follow_conversation": None,
    "conversation_fork.fork_conversation": Conversation,
    "conversation_title.make_title": Conversation,
    "conversation_regenerate.regenerate": Response,
    "conversations.get_conversation": Conversation,
    "conversations.update_conversation": Conversation,
    "conversations.delete_conversation": Deleted,
    "conversations.create_items": ItemPage,
    "conversations.list_items": ItemPage,
    "conversations.get_item": StoredItem,
    "conversations.delete_item": Conversation,
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

OTHER_FORMS: dict[str, tuple[str, ...]] = {"invoices.get_invoice": ("text/csv", "text/html")}
"""The operations that can answer with text of other kinds beside JSON."""
