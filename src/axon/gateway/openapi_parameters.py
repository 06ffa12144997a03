"""What each operation's path, query and headers may hold, for `/openapi.json`."""

from collections.abc import Sequence
from typing import Any

from axon.gateway.conversation_search import QUERY_CHARS_MAX
from axon.gateway.door import KEY_CHARS_MAX
from axon.gateway.pages import PAGE_DEFAULT, PAGE_MAX

Parameter = dict[str, Any]

_TEXT = {"type": "string"}
INSTANT = {"type": "string", "format": "date-time"}


def _query(name: str, schema: dict[str, Any], meaning: str, required: bool = False) -> Parameter:
    told = {"name": name, "in": "query", "schema": schema, "description": meaning}
    return {**told, "required": True} if required else told


def _header(name: str, schema: dict[str, Any], meaning: str) -> Parameter:
    return {"name": name, "in": "header", "schema": schema, "description": meaning}


_LIMIT = _query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT},
    "How many objects a page holds.",
)
_AFTER = _query("after", _TEXT, "The last id of the page before.")
_ORDER = _query("order", {"enum": ["asc", "desc"]}, "By age: oldest or newest first.")
_PERSON = [
    _query("safety_identifier", _TEXT, "Whose objects, when the key acts for users."),
    _query("user", _TEXT, "The older name of `safety_identifier`."),
]
_MODEL = _query("model", {"type": "string", "maxLength": 512}, "Only those of this model.")
_METADATA: Parameter = {
    "name": "metadata",
    "in": "query",
    "style": "deepObject",
    "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 512}},
    "description": "Only those that carry each of these pairs: `metadata[key]=value`.",
}
_WHY = _query("why", {"type": "string", "maxLength": 1000}, "Why, for the history.")
_PAGE = [_LIMIT, _AFTER, _ORDER]
_SEARCHED = [_LIMIT, _query("after", _TEXT, "The `cursor` of the page before.")]

_SECONDS = {"type": "integer", "minimum": 1, "maximum": 99_999_999_999}
_SINCE_UNTIL = [
    _query("since", _SECONDS, "Not before this second since 1970."),
    _query("until", _SECONDS, "Before this second."),
]
_FLAGGED = [
    _query("flag", _TEXT, "Only answers for which this flag had a variant."),
    _query("variant", _TEXT, "Only answers with this variant, as flag:variant."),
]

_AS_OF = _query("time", INSTANT, "As of this instant; else now.")


def _names(name: str, meaning: str) -> Parameter:
    return _query(name, {"type": "array", "items": _TEXT, "maxItems": 100}, meaning)


def _buckets(widths: Sequence[str], most: int, start_required: bool) -> list[Parameter]:
    return [
        _query(
            "start_time", _SECONDS, "Seconds since 1970; its bucket is the first.", start_required
        ),
        _query("end_time", _SECONDS, "The first second that no longer counts; else now."),
        _query("bucket_width", {"enum": [*widths]}, "How long a bucket is; else a day."),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": most}, "Buckets of a page."),
        _query("page", _TEXT, "The `next_page` of the page before."),
    ]


def _grouping(*names: str) -> list[Parameter]:
    by = {"type": "array", "items": {"enum": [*names]}}
    return [
        _query("group_by", by, "What is told apart; else all is one sum."),
        _names("user_ids", "Only these persons, each 16 hexadecimal digits."),
        _names("api_key_ids", "Only these keys."),
    ]


_QUERY: dict[str, Sequence[Parameter]] = {
    "conversation_list.list_conversations": [
        *_PAGE,
        *_PERSON,
        _MODEL,
        _METADATA,
        _query("archived", {"enum": ["true", "false", "all"]}, "Archived ones, others, or both."),
    ],
    "conversation_search.search_conversations": [
        _query(
            "q",
            {"type": "string", "minLength": 1, "maxLength": QUERY_CHARS_MAX},
            "The words to find.",
            required=True,
        ),
        *_SEARCHED,
        *_PERSON,
    ],
    "usage.own_usage": [
        *_buckets(("1h", "1d", "1mo"), 168, start_required=False),
        _query("time_zone", _TEXT, "Whose days and months; an IANA name, else UTC."),
        *_PERSON,
    ],
    "usage.completions_usage": [
        *_buckets(("1m", "1h", "1d"), 1440, start_required=True),
        *_grouping("user_id", "api_key_id", "model", "variant"),
        _names("models", "Only these models."),
    ],
    "usage.costs": [
        *_buckets(("1d",), 180, start_required=True),
        *_grouping("user_id", "api_key_id", "line_item", "variant"),
        _names("line_items", "Only these models."),
    ],
    "alerts.list_alerts": [_LIMIT, _AFTER],
    "feedback.list_feedback": [
        _query("of", {"enum": ["person", "organization"]}, "Whose feedback."),
        _query("rating", {"enum": ["up", "down"]}, "Only thumbs of this kind."),
        *_SINCE_UNTIL,
        *_FLAGGED,
        _MODEL,
        _LIMIT,
        _AFTER,
        *_PERSON,
    ],
    "audit.search_turns": [
        _query("user", _TEXT, "Only turns of this person, by name."),
        _query("user_id", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "Or by number."),
        _query("feedback", {"enum": ["up", "down", "any"]}, "Only those that were judged so."),
        _query("status", _TEXT, "Only turns that ended so."),
        _query("safety", _TEXT, "Only turns at this level of safety."),
        _query("verdict", _TEXT, "Only turns for which safety did this, as redacted."),
        *_SINCE_UNTIL,
        *_FLAGGED,
        _MODEL,
        _LIMIT,
        _AFTER,
    ],
    "audit.list_accesses": [_LIMIT, _AFTER],
    "training.get_consent": [
        _query("user", _TEXT, "Whose, by name, for who may ask for others'."),
        _query("user_id", {"type": "string", "pattern": "^[0-9a-f]{16}$"}, "Or by number."),
    ],
    "audit.release_hold": [
        _query("reason", {"type": "string", "maxLength": 1000}, "Why.", required=True)
    ],
    "flags.list_flags": [_query("archived", {"enum": ["true", "false"]}, "Archived ones too.")],
    "flags.archive_flag": [
        _WHY,
        _query("version", {"type": "integer", "minimum": 0}, "Only while it has this version."),
    ],
    "flags.call_off_schedule": [_WHY],
    "flags.flag_history": [
        _LIMIT,
        _query("after", {"type": "integer", "minimum": 0}, "The `last_id` of the page before."),
    ],
    "experiments.get_results": [_query("format", {"enum": ["json", "html"]}, "Else JSON.")],
    "ofrep.evaluate_flags": [
        _query("flagConfigEtag", _TEXT, "The `etag` of the event that made the client ask."),
        _query("flagConfigLastModified", _TEXT, "The `lastModified` of that event."),
    ],
    "ofrep.follow_changes": [_query("token", _TEXT, "As in the answer's URL.", required=True)],
    "invoices.list_invoices": [
        _query("month", {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"}, "As 2026-10."),
    ],
    "invoices.get_invoice": [
        _query("format", {"enum": ["json", "csv", "html"]}, "Else as `Accept` wants it, or JSON."),
    ],
    "meters.query_meter": [
        _query("from", INSTANT, "The first instant that counts; else that of the first event."),
        _query("to", INSTANT, "The first instant that no longer counts; else now."),
        _query("windowSize", {"enum": ["MINUTE", "HOUR", "DAY", "MONTH"]}, "Else one window."),
        _query("windowTimeZone", _TEXT, "Whose days and months; an IANA name, else UTC."),
        _names("subject", "Only these subjects, told apart."),
        _names("groupBy", "What is told apart: `subject`, or names of the meter."),
        {
            "name": "filterGroupBy",
            "in": "query",
            "style": "deepObject",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": _TEXT},
            "description": "Only events with these values: `filterGroupBy[name]=value`.",
        },
    ],
    "entitlements.get_value": [_AS_OF],
    "entitlements.get_customer_value": [_AS_OF],
    "sync.sync": [
        _query("cursor", _TEXT, "The `cursor` of the answer before."),
        _query("since", {"enum": ["now", "beginning"]}, "Where to begin without a cursor."),
        _LIMIT,
        *_PERSON,
    ],
    "stored_chat.list_completions": [*_PAGE, *_PERSON, _MODEL, _METADATA],
    "stored_chat.list_messages": _PAGE,
    "stored_responses.get_response": [
        _query("stream", {"enum": ["true", "false"]}, "Its events, instead of the response."),
        _query(
            "starting_after",
            {"type": "integer", "minimum": 0, "maximum": 999_999_999},
            "The `sequence_number` of the last event seen; with `stream=true`.",
        ),
    ],
    "response_items.list_input_items": _PAGE,
    "conversations.delete_conversation": [
        _query("items", {"enum": ["keep", "delete"]}, "Whether what was said goes too."),
    ],
    "conversations.list_items": _PAGE,
    "conversation_events.follow_conversation": [
        _query("last_event_id", _TEXT, "The same as the header, for clients that cannot set one."),
    ],
}

_IDEMPOTENCY_KEY = _header(
    "Idempotency-Key",
    {"type": "string", "maxLength": KEY_CHARS_MAX},
    "Requests with the same key are one: the later ones get the first one's answer.",
)
_LAST_EVENT_ID = _header("Last-Event-ID", _TEXT, "The id of the last event seen.")

_IF_NONE_MATCH = _header("If-None-Match", _TEXT, "The `ETag` of the answer that is at hand.")

_HEADERS: dict[str, Sequence[Parameter]] = {
    "chat.create_completion": [_IDEMPOTENCY_KEY],
    "completions.create_completion": [_IDEMPOTENCY_KEY],
    "responses.create_response": [_IDEMPOTENCY_KEY],
    "conversations.create_conversation": [_IDEMPOTENCY_KEY],
    "conversations.create_items": [_IDEMPOTENCY_KEY],
    "conversation_regenerate.regenerate": [_IDEMPOTENCY_KEY],
    "conversation_events.follow_conversation": [_LAST_EVENT_ID],
    "ofrep.evaluate_flags": [_IF_NONE_MATCH],
    "stripe_events.take_event": [
        _header("Stripe-Signature", _TEXT, "When it was signed, and the signatures.")
    ],
}


def parameters_of(operation: str, ids: Sequence[str]) -> list[Parameter]:
    """Return the parameters of an operation whose path holds these ids."""
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in ids
    ]
    return [*in_path, *_QUERY.get(operation, ()), *_HEADERS.get(operation, ())]


def asks_anything(operation: str) -> bool:
    """Return whether an operation reads a query or a header of its own."""
    return operation in _QUERY or operation in _HEADERS
