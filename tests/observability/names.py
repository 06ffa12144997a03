"""Facts of two public vocabularies, as far as Axon uses them: names, types, and allowed values.

Fields of log lines are those of the Elastic Common Schema 8, attributes of spans those of
OpenTelemetry's semantic conventions, by the package opentelemetry-semantic-conventions 0.66b2.
Axon's own are under `axon.`.
"""

Type = type[str] | type[int] | type[float] | type[bool]

ECS: dict[str, Type] = {
    "@timestamp": str,
    "message": str,
    "log.level": str,
    "service.name": str,
    "event.action": str,
    "event.duration": int,
    "event.outcome": str,
    "trace.id": str,
    "user.id": str,
    "error.code": str,
    "error.message": str,
    "file.path": str,
    "http.request.id": str,
    "http.request.method": str,
    "http.response.status_code": int,
    "url.path": str,
    "process.exit_code": int,
    "process.pid": int,
}
"""Types as JSON has them: `date`, `keyword` and texts are strings, `long` is a whole number."""

OUTCOMES = {"success", "failure", "unknown"}
"""All that ECS allows as `event.outcome`."""

ATTRIBUTES: dict[str, str] = {
    "gen_ai.operation.name": "Str",
    "gen_ai.provider.name": "Str",
    "gen_ai.conversation.id": "Str",
    "gen_ai.request.model": "Str",
    "gen_ai.response.id": "Str",
    "gen_ai.response.time_to_first_chunk": "Double",
    "gen_ai.usage.input_tokens": "Int",
    "gen_ai.usage.output_tokens": "Int",
    "gen_ai.usage.cache_read.input_tokens": "Int",
    "server.address": "Str",
    "server.port": "Int",
    "error.type": "Str",
    "user.id": "Str",
    "session.id": "Str",
    "feature_flag.key": "Str",
    "feature_flag.provider.name": "Str",
    "feature_flag.result.variant": "Str",
    "feature_flag.result.reason": "Str",
}
"""Types as the receiver of traces prints them."""

RESOURCE = {"service.name": "Str", "service.version": "Str"}
"""What traces say of the process that made them."""

_OF_JSON: dict[str, Type] = {"Str": str, "Int": int, "Double": float}

OPERATIONS = {
    *("chat", "create_agent", "embeddings", "execute_tool", "generate_content", "invoke_agent"),
    *("invoke_workflow", "retrieval", "text_completion"),
}
"""Well-known values of `gen_ai.operation.name`."""

REASONS = {
    *("static", "default", "targeting_match", "split", "cached", "disabled", "unknown", "stale"),
    "error",
}
"""Well-known values of `feature_flag.result.reason`."""

REMOVED = {"gen_ai.system", "gen_ai.prompt", "gen_ai.completion"}
"""No version of the conventions has them any more."""


def line_mistakes(line: dict[str, object]) -> list[str]:
    """Return what in a log line is neither ECS nor Axon's own, or of another type."""
    found = [
        name for name in ("@timestamp", "log.level", "event.action", "message") if name not in line
    ]
    for name, value in line.items():
        wanted = ECS.get(name) or _OF_JSON.get(ATTRIBUTES.get(name, ""))
        if wanted is None and not name.startswith("axon."):
            found.append(f"{name} is no field")
        elif wanted is not None and value is not None and type(value) is not wanted:
            found.append(f"{name} is {value!r}")
    if line.get("event.outcome", "unknown") not in OUTCOMES:
        found.append(f"event.outcome is {line['event.outcome']!r}")
    return found


def attribute_mistakes(attributes: dict[str, tuple[str, str]]) -> list[str]:
    """Return what in a received span's attributes, types and values, is not the conventions'."""
    found = []
    for name, (kind, value) in attributes.items():
        wanted = ATTRIBUTES.get(name) or RESOURCE.get(name)
        if wanted is None and not name.startswith("axon."):
            found.append(f"{name} is no attribute")
        elif wanted is not None and kind != wanted:
            found.append(f"{name} is a {kind}: {value}")
    operation = attributes.get("gen_ai.operation.name", ("", "chat"))[1]
    reason = attributes.get("feature_flag.result.reason", ("", "static"))[1]
    found += [] if operation in OPERATIONS else [operation]
    found += [] if reason in REASONS else [reason]
    return found
