"""What can be asked of the events of one stream."""

from collections.abc import Iterable
from typing import Any, cast, get_args

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, ValidationError

from conformance.verdicts import Failed, require

_KINDS: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(ResponseStreamEvent)[0])
}
"""The SDK's union of stream events, by type."""

LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def raw(event: ResponseStreamEvent) -> dict[str, Any]:
    """Return an event as it came, with what the SDK's type does not know."""
    return cast(dict[str, Any], event.to_dict(mode="json", warnings=False))


def require_known(event: ResponseStreamEvent) -> None:
    """Raise Failed unless the SDK's union knows the event's type and finds every field it wants."""
    told = raw(event)
    kind = _KINDS.get(str(told.get("type")))
    if kind is None:
        raise Failed(f"the SDK knows no {told.get('type')}")
    try:
        kind.model_validate(told)
    except ValidationError as error:
        raise Failed(f"{told['type']}: {first_mistake(error)}") from None


def first_mistake(error: ValidationError) -> str:
    """Return where a document does not fit its type, and why, in one clause."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'][:80]}"


def require_gapless(events: list[ResponseStreamEvent], first: int = 0) -> int:
    """Raise Failed unless the sequence numbers count up by one from `first`; return the last."""
    require(events, "the stream is empty")
    number = first - 1
    for event in events:
        require(
            event.sequence_number == number + 1,
            f"{event.type} has number {event.sequence_number}, not {number + 1}",
        )
        number += 1
    return number


def shown_text(events: Iterable[ResponseStreamEvent]) -> str:
    """Return the text a reader has seen, from the deltas alone."""
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def last_response(events: list[ResponseStreamEvent]) -> Response:
    """Return the response the last event carries; raises Failed for a stream without an end."""
    require(events, "the stream is empty")
    last = events[-1]
    require(last.type in LAST_EVENTS, f"the stream ends with {last.type}")
    return cast(Response, cast(Any, last).response)
