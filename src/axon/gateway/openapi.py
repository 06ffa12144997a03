"""`GET /openapi.json`: this API as an OpenAPI 3.1 document, made from the tables of the routes."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from axon import __version__
from axon.gateway.flag_shapes import OfrepProblem
from axon.gateway.openapi_answers import ANSWERS, NO_CONTENT, OTHER_FORMS, STREAMS, Error
from axon.gateway.openapi_audit import AUDIT_SPECIAL
from axon.gateway.openapi_bodies import BODIES, ITEM, Body, Schema
from axon.gateway.openapi_events import OF_OPENMETER, ProblemDetails
from axon.gateway.openapi_parameters import asks_anything, parameters_of
from axon.metering import EVENTS_MAX

_REF = "#/components/schemas/{name}"

_MEANINGS = {
    400: "The request cannot be understood.",
    401: "The key is missing or wrong.",
    403: "The key is not permitted to do this.",
    404: "It is not there, or not the caller's to see.",
    409: "Something else is in the way: a turn that is running, another change, or who uses it.",
    410: "The cursor is too old.",
    413: "The body is too large.",
    415: "The content type is none that is read.",
    422: "The Idempotency-Key was used for another request.",
    429: "A limit is reached, or the engine wants fewer requests.",
    502: "The engine failed.",
    503: "It cannot be done now and nothing was accepted; `Retry-After` says when to try again.",
    504: "The engine took too long.",
}
_ENGINE = (429, 502, 504)
_SPECIAL: dict[str, tuple[int, ...]] = {
    "chat.create_completion": (404, 409, 422, *_ENGINE),
    "completions.create_completion": (404, 409, 422, *_ENGINE),
    "responses.create_response": (404, 409, 422, *_ENGINE),
    "conversation_regenerate.regenerate": (409, 422, *_ENGINE),
    "conversation_title.make_title": (409, *_ENGINE),
    "compaction.compact_input": (404, *_ENGINE),
    "response_items.count_input_tokens": (404, *_ENGINE),
    "embeddings.create_embeddings": (404, *_ENGINE),
    "conversations.create_conversation": (409, 422),
    "conversations.create_items": (409, 422),
    "conversations.update_conversation": (409,),
    "conversations.delete_conversation": (409,),
    "conversations.delete_item": (409,),
    "conversation_fork.fork_conversation": (409,),
    "conversation_list.list_conversations": (404,),
    "stored_chat.list_completions": (404,),
    "stored_chat.update_completion": (409,),
    "stored_chat.delete_completion": (409,),
    "stored_responses.delete_response": (400, 409),
    "stored_responses.cancel_response": (400,),
    "conversation_events.follow_conversation": (410,),
    "sync.sync": (410,),
    "alerts.list_alerts": (404,),
    "limits.list_rules": (403,),
    "limits.set_rule": (400, 403),
    "limits.remove_rule": (403, 404),
    "tiers.remove_tier": (409,),
    "stripe_events.take_event": (404,),
    "outside_events.send_events": (415,),
    "flags.change_flags": (409,),
    "flags.set_flag": (409,),
    "flags.archive_flag": (409,),
    "flags.roll_back_flag": (409,),
    **AUDIT_SPECIAL,
    "experiments.describe_experiment": (409,),
    "experiments.start_experiment": (409,),
    "experiments.widen_experiment": (409,),
    "experiments.stop_experiment": (409,),
    "experiments.decide_experiment": (409,),
}
"""What an operation can be refused with beside what its parameters and its body say."""

_TELLING = frozenset({"operation.status", "operation.metrics"})
"""Want a key from another machine."""

SIGNED = frozenset({"stripe_events.take_event"})
"""Operations that want a signature instead of a key."""


class RouteShown(NamedTuple):
    """A route as the tables have it."""

    method: str
    path: str
    """Each id is `{id}`."""
    answered_by: Callable[..., Awaitable[None]]


def openapi_json(routes: Sequence[RouteShown]) -> bytes:
    """Return the document, as JSON."""
    paths: dict[str, Schema] = {}
    for route in routes:
        ids = _ids(route.answered_by)
        path = route.path
        for name in ids:
            path = path.replace("{id}", "{" + name + "}", 1)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, ids)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Axon",
            "version": __version__,
            "description": "OpenAI's API over conversations that are kept. What OpenAI offers too "
            "has OpenAI's shape, errors included.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`sk-axon-...`, or the pass of a user.",
                }
            },
        },
    }
    return msgspec.json.encode(document)


def operation_name(answered_by: Callable[..., object]) -> str:
    """Return the name of an operation: the module and the function that answers."""
    return f"{answered_by.__module__.rpartition('.')[2]}.{answered_by.__name__}"


def _ids(answered_by: Callable[..., object]) -> list[str]:
    """Return the names of the ids in the path: what the function takes after the first two."""
    names = list(inspect.signature(answered_by).parameters)
    return [name for name in names if name.endswith("_id")]


def _operation(route: RouteShown, ids: Sequence[str]) -> Schema:
    name = operation_name(route.answered_by)
    summary, _, rest = inspect.cleandoc(route.answered_by.__doc__ or "").partition("\n\n")
    parts = route.path.strip("/").split("/")
    of_events = parts[0] == "api"
    of_flags = parts[0] == "ofrep"
    is_open = name in SIGNED or (parts[0] != "v1" and not of_events and not of_flags)
    shown: Schema = {
        "operationId": name.replace(".", "_"),
        "summary": summary,
        "tags": [_tag(parts)],
        "parameters": parameters_of(name, ids),
        "responses": dict(_responses(name, ids, is_open)),
    }
    if rest:
        shown["description"] = rest
    if is_open:
        shown["security"] = []
    body = BODIES.get(name)
    if body is not None:
        shown["requestBody"] = {"required": body.must_be_there, "content": dict(_media(body))}
    return shown


def _tag(parts: Sequence[str]) -> str:
    if parts[0] not in ("v1", "api", "ofrep"):
        return "operation"
    return parts[2] if parts[0] == "api" else "ofrep" if parts[0] == "ofrep" else parts[1]


def _responses(name: str, ids: Sequence[str], is_open: bool) -> Iterator[tuple[str, Schema]]:
    """Yield each status with what is answered under it."""
    answer = ANSWERS[name]
    content: Schema = {}
    if answer is not None:
        content["application/json"] = {"schema": _schema_of(answer)}
    if name in STREAMS:
        content["text/event-stream"] = {}
    for kind in OTHER_FORMS.get(name, ()):
        content[kind] = {"schema": {"type": "string"}}
    if name in NO_CONTENT:
        yield "204", {"description": "As asked."}
    else:
        content = content or {"text/plain": {"schema": {"type": "string"}}}
        yield "200", {"description": "As asked.", "content": content}
    if is_open and name not in SIGNED:
        if name == "operation.readyz":
            yield "503", {"description": "No turns can be taken now.", "content": content}
        if name not in _TELLING:
            return
    statuses = {503, *_SPECIAL.get(name, ())}
    if not is_open or name in _TELLING:
        statuses |= {401, 403}
    if name in BODIES:
        statuses |= {400, 413}
    if asks_anything(name):
        statuses.add(400)
    if ids:
        statuses.add(404)
    error = {"application/json": {"schema": _ref(Error.__name__)}}
    if name.startswith("ofrep."):
        error = {"application/json": {"schema": _ref(OfrepProblem.__name__)}}
    if name in OF_OPENMETER:
        error = {"application/problem+json": {"schema": _ref(ProblemDetails.__name__)}}
    for status in sorted(statuses):
        yield str(status), {"description": _MEANINGS[status], "content": error}


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}


def _schema_of(answer: Any) -> Schema:
    (schema,), _ = msgspec.json.schema_components([answer], ref_template=_REF)
    return schema


def _media(body: Body) -> Iterator[tuple[str, Schema]]:
    """Yield each content type in which a body may come, with its schema."""
    one = _body_schema(body)
    if not body.as_events:
        yield "application/json", {"schema": one, "example": body.example}
        return
    many = {"type": "array", "items": one, "maxItems": EVENTS_MAX}
    yield "application/cloudevents+json", {"schema": one, "example": body.example}
    for media in ("application/cloudevents-batch+json", "application/json"):
        yield media, {"schema": many, "example": [body.example]}


def _body_schema(body: Body) -> Schema:
    kinds = [kind if name in body.needed else kind | None for name, kind in body.types.items()]
    schemas, _ = msgspec.json.schema_components(kinds, ref_template=_REF)
    members = {**dict(zip(body.types, schemas, strict=True)), **body.schemas}
    shown: Schema = {"type": "object", "properties": members}
    return {**shown, "required": list(body.needed)} if body.needed else shown


def _schemas() -> Schema:
    """Return every schema that others refer to."""
    kinds: list[Any] = [Error, ProblemDetails, OfrepProblem, *filter(None, ANSWERS.values())]
    for body in BODIES.values():
        kinds += body.types.values()
    _, named = msgspec.json.schema_components(kinds, ref_template=_REF)
    return {**named, "Item": ITEM}
