"""What each operation's body may hold, for `/openapi.json`.

The types that the routes check stand in `members` and are taken from there; the rest is what a
route reads by name. Members that are not named pass on to the engine, so none is refused.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from axon.experiments import Definition
from axon.gateway import members
from axon.gateway.conversations import TITLE_CHARS_MAX
from axon.gateway.items import ITEMS_MAX, NEEDED_MEMBERS
from axon.gateway.members import (
    CHAT_TYPES,
    COMPLETIONS_TYPES,
    EMBEDDINGS_TYPES,
    RESPONSES_TYPES,
    ContextManagement,
    ConversationName,
    StreamOptions,
)
from axon.gateway.openapi_audit import AUDIT_BODIES
from axon.gateway.openapi_events import EVENT_EXAMPLE, EVENT_TYPES, QUERY_TYPES
from axon.gateway.price_shapes import PriceRates, PriceTier
from axon.gateway.prompts import PROMPTS_MAX

Schema = dict[str, Any]
Types = dict[str, Any]

MODEL = "smollm2"
"""The model that `axon up` brings; every example names it."""

_Key = Annotated[str, Meta(max_length=members.METADATA_KEY_CHARS_MAX)]
_Value = Annotated[str, Meta(max_length=members.METADATA_VALUE_CHARS_MAX)]
_METADATA: Types = {
    "metadata": Annotated[dict[_Key, _Value], Meta(max_length=members.METADATA_PAIRS_MAX)]
}
_PERSON: Types = {"user": str, "safety_identifier": str}
_ITEM_ID: Types = {"item_id": str}
_TURN: Types = {"stream": bool, "stream_options": StreamOptions, "safety_identifier": str}
_RESPONSE: Types = {
    **RESPONSES_TYPES,
    **_METADATA,
    "model": str,
    "conversation": str | ConversationName,
    "previous_response_id": str,
    "instructions": str,
    "stream": bool,
    "store": bool,
    "background": bool,
    "truncation": Literal["auto", "disabled"],
    "context_management": list[ContextManagement],
    "safety_identifier": str,
}

_PART: Schema = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "text": {"type": "string"}},
    "required": ["type"],
}
_CONTENT: Schema = {"anyOf": [{"type": "string"}, {"type": "array", "items": _PART}]}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "type": {"const": "message"},
        "role": {"enum": ["user", "assistant", "system", "developer"]},
        "content": _CONTENT,
    },
    "required": ["role", "content"],
}
_REFERENCE: Schema = {
    "type": "object",
    "properties": {"type": {"const": "item_reference"}, "id": {"type": "string"}},
    "required": ["type", "id"],
}


def _of_type(kind: str, needed: tuple[str, ...]) -> Schema:
    members: Schema = {name: {"type": "string"} for name in needed}
    if "output" in needed:
        members["output"] = {"anyOf": [*_CONTENT["anyOf"], {"type": "null"}]}
    if "summary" in needed:
        members["summary"] = {}  # thinking is kept as it came, and fed back to no model
    return {
        "type": "object",
        "properties": {"type": {"const": kind}, **members},
        "required": ["type", *needed],
    }


ITEM: Schema = {
    "description": "A message, a call of a tool, its output, a reasoning or a compaction.",
    "anyOf": [_MESSAGE, *(_of_type(kind, needed) for kind, needed in NEEDED_MEMBERS.items())],
}
_TOKENS: Schema = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
_PROMPTS: Schema = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {**_TOKENS},
        {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": PROMPTS_MAX,
        },
        {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": PROMPTS_MAX},
    ]
}


def _items(**bounds: int) -> Schema:
    return {"type": "array", "items": {"$ref": "#/components/schemas/Item"}, **bounds}


_ASKED: Schema = {
    "type": "array",
    "items": {"anyOf": [{"$ref": "#/components/schemas/Item"}, _REFERENCE]},
    "minItems": 1,
}
_INPUT: Schema = {"anyOf": [{"type": "string"}, _ASKED]}
_INPUT_OR_NONE: Schema = {"anyOf": [{"type": ["string", "null"]}, _ASKED]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The JSON object an operation reads."""

    types: Types
    """Each may be null as well as absent, unless it is required."""
    needed: tuple[str, ...] = ()
    schemas: Schema = field(default_factory=dict)
    """Of the members whose schema no Python type states."""
    example: Schema = field(default_factory=dict)
    must_be_there: bool = True
    as_events: bool = False
    """Whether it comes as CloudEvents do, one or a list."""


_COUNTED = {"input": "How long is this?"}
_SAID: Schema = {"role": "user", "content": "Hello!"}

_CHANGE: Types = {"why": str, "at": datetime}
_CONTEXT: Schema = {"context": {"targetingKey": "ada"}}
EXPERIMENT_EXAMPLE: Schema = {
    "flag": "tone",
    "hypothesis": "Warm words bring people back.",
    "control": "off",
    "shares": {"off": 10, "on": 10},
    "primary": ["retention_1"],
    "guardrails": [{"metric": "cost_per_turn", "kills": True}],
}

FLAG_EXAMPLE: Schema = {
    "state": "ENABLED",
    "variants": {"warm": "Be kind.", "plain": "Be brief."},
    "defaultVariant": "plain",
}

BODIES: dict[str, Body] = {
    "outside_events.send_events": Body(
        types=EVENT_TYPES,
        needed=("specversion", "id", "source", "type", "subject"),
        schemas={"data": {"type": ["object", "null"]}},
        example=EVENT_EXAMPLE,
        as_events=True,
    ),
    "meters.ask_meter": Body(
        types=QUERY_TYPES, example={"windowSize": "DAY", "groupBy": ["subject"]}
    ),
    "chat.create_completion": Body(
        types={**CHAT_TYPES, **_TURN, **_METADATA, "model": str},
        needed=("model", "messages"),
        example={"model": MODEL, "messages": [_SAID]},
    ),
    "stored_chat.update_completion": Body(
        types=_METADATA, needed=("metadata",), example={"metadata": {"topic": "greeting"}}
    ),
    "completions.create_completion": Body(
        types={**COMPLETIONS_TYPES, **_TURN, "model": str},
        needed=("model", "prompt"),
        schemas={"prompt": _PROMPTS},
        example={"model": MODEL, "prompt": "Once upon a time", "max_tokens": 16},
    ),
    "embeddings.create_embeddings": Body(
        types={**EMBEDDINGS_TYPES, "model": str, "safety_identifier": str},
        needed=("model", "input"),
        schemas={"input": _PROMPTS},
        example={"model": MODEL, "input": ["a sentence", "another"]},
    ),
    "responses.create_response": Body(
        types=_RESPONSE,
        needed=("model", "input"),
        schemas={"input": _INPUT},
        example={"model": MODEL, "input": "Hello!", "metadata": {"topic": "greeting"}},
    ),
    "response_items.count_input_tokens": Body(
        types=_RESPONSE,
        needed=("model",),
        schemas={"input": _INPUT_OR_NONE},
        example={"model": MODEL, **_COUNTED},
    ),
    "compaction.compact_input": Body(
        types=_RESPONSE,
        needed=("model",),
        schemas={"input": _INPUT_OR_NONE},
        example={"model": MODEL, "input": [_SAID]},
    ),
    "conversations.create_conversation": Body(
        types={**_METADATA, **_PERSON},
        schemas={"items": {"anyOf": [_items(maxItems=ITEMS_MAX), {"type": "null"}]}},
        example={"metadata": {"topic": "greeting"}, "items": [_SAID]},
        must_be_there=False,
    ),
    "conversations.update_conversation": Body(
        types={
            **_METADATA,
            "title": Annotated[str, Meta(max_length=TITLE_CHARS_MAX)],
            "archived": bool,
        },
        example={"title": "A greeting"},
    ),
    "conversations.create_items": Body(
        types={},
        needed=("items",),
        schemas={"items": _items(minItems=1, maxItems=ITEMS_MAX)},
        example={"items": [_SAID]},
    ),
    "conversation_fork.fork_conversation": Body(
        types={**_ITEM_ID, **_METADATA},
        example={"metadata": {"branch": "second"}},
        must_be_there=False,
    ),
    "conversation_title.make_title": Body(
        types={"model": str}, example={"model": MODEL}, must_be_there=False
    ),
    "conversation_regenerate.regenerate": Body(
        types={**{name: kind for name, kind in _RESPONSE.items() if "_id" not in name}, **_ITEM_ID},
        needed=("model",),
        schemas={"input": _INPUT},
        example={"model": MODEL},
    ),
    "passes.create_pass": Body(
        types={"user": str, "expires_in": int},
        needed=("user",),
        example={"user": "ada", "expires_in": 600},
    ),
    "alerts.add_webhook": Body(
        types={"url": str}, needed=("url",), example={"url": "https://example.com/axon"}
    ),
    **{
        name: Body(types=types, needed=needed, example=example)
        for name, (types, needed, example) in AUDIT_BODIES.items()
    },
    "flags.change_flags": Body(
        types={**_CHANGE, "flags": dict[str, dict[str, Any]], "metadata": dict[str, Any]},
        needed=("flags",),
        schemas={"$evaluators": {"type": "object"}, "$schema": {"type": "string"}},
        example={"flags": {"tone": FLAG_EXAMPLE}, "why": "a try"},
    ),
    "flags.set_flag": Body(
        types={**_CHANGE, "definition": dict[str, Any], "version": int},
        needed=("definition",),
        example={"definition": FLAG_EXAMPLE, "why": "a try"},
    ),
    "flags.roll_back_flag": Body(
        types={"version": int, "why": str}, example={"why": "too many errors"}
    ),
    "experiments.describe_experiment": Body(
        types={"experiment": Definition, "why": str},
        needed=("experiment",),
        example={"experiment": EXPERIMENT_EXAMPLE, "why": "is it worth it?"},
    ),
    "experiments.start_experiment": Body(types={"why": str}, example={"why": "now"}),
    "experiments.widen_experiment": Body(
        types={"why": str, "shares": dict[str, float]},
        needed=("shares",),
        example={"shares": {"off": 50, "on": 50}, "why": "it does no harm"},
    ),
    "experiments.stop_experiment": Body(
        types={"why": str, "decision": str, "ships": str},
        example={"decision": "it stays", "ships": "on"},
    ),
    "experiments.decide_experiment": Body(
        types={"why": str, "decision": str},
        needed=("decision",),
        example={"decision": "it stays"},
    ),
    "ofrep.evaluate_flag": Body(
        types={"context": dict[str, Any]}, example=_CONTEXT, must_be_there=False
    ),
    "ofrep.evaluate_flags": Body(
        types={"context": dict[str, Any]}, example=_CONTEXT, must_be_there=False
    ),
    "stripe_events.take_event": Body(
        types={"id": str, "type": str},
        needed=("id", "type"),
        example={"id": "evt_1", "type": "v1.billing.meter.error_report_triggered"},
    ),
    "tiers.set_tier": Body(
        types={"description": str, "queue_share": int},
        example={"description": "first in the queue", "queue_share": 20},
    ),
    "prices.set_price": Body(
        types={
            "model": str,
            "org_id": str,
            "effective_from": int,
            "effective_to": int,
            "currency": str,
            "rates": PriceRates,
            "per_request_nano": int,
            "tiers": list[PriceTier],
            "source": str,
        },
        needed=("model", "rates"),
        example={
            "model": "small",
            "rates": {"input_nano": 250_000_000, "output_nano": 2_000_000_000},
        },
    ),
    "limits.set_rule": Body(
        types={
            "id": str,
            "measure": str,
            "period": str,
            "currency": str,
            "amount": int,
            "kind": str,
            "grace": int,
            "overage_percent": int,
            "tier": str,
            "org_id": str,
            "user": str,
            "key_id": str,
            "model": str,
            "apart": list[str],
        },
        needed=("id", "measure", "amount"),
        example={"id": "acme-tokens", "measure": "tokens", "period": "month", "amount": 1000000},
    ),
}
"""By operation: the module and the function that answers."""
