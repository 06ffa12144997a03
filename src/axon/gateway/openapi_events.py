"""What `/openapi.json` says of outside events and meters: OpenMeter's shapes."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

_Text = Annotated[str, msgspec.Meta(min_length=1)]

EVENT_TYPES: dict[str, Any] = {
    "specversion": Literal["1.0"],
    "id": Annotated[str, msgspec.Meta(min_length=1, max_length=256)],
    "source": Annotated[str, msgspec.Meta(min_length=1, max_length=1024)],
    "type": Annotated[str, msgspec.Meta(min_length=1, max_length=256)],
    "subject": Annotated[str, msgspec.Meta(min_length=1, max_length=512)],
    "time": datetime,
    "datacontenttype": Literal["application/json"],
}
"""The attributes of a CloudEvent that are read, beside its data."""

QUERY_TYPES: dict[str, Any] = {
    "from": datetime,
    "to": datetime,
    "windowSize": Literal["MINUTE", "HOUR", "DAY", "MONTH"],
    "windowTimeZone": str,
    "subject": list[str],
    "groupBy": list[str],
    "filterGroupBy": dict[str, list[str]],
}

EVENT_EXAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "5c10fade-1c9e-4d6c-8275-c52c36731d3c",
    "source": "my-service",
    "type": "prompt",
    "subject": "customer-1",
    "time": "2026-11-22T12:00:00Z",
    "data": {"tokens": 123, "model": "gpt-4"},
}


class WrongField(msgspec.Struct):
    """One thing that is wrong with a request."""

    field: str
    code: str
    message: str


class ProblemExtensions(msgspec.Struct):
    """What is wrong, member by member."""

    validationErrors: list[WrongField]  # noqa: N815 - OpenMeter's name


class ProblemDetails(msgspec.Struct):
    """A problem of RFC 7807."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    extensions: ProblemExtensions | None = None


class Meter(msgspec.Struct, rename="camel"):
    """A meter."""

    id: str
    slug: str
    name: str
    event_type: str
    aggregation: Literal["SUM", "COUNT", "MAX", "UNIQUE_COUNT", "LATEST"]
    group_by: dict[str, str]
    created_at: datetime
    updated_at: datetime


class MeterRow(msgspec.Struct, rename="camel"):
    """What one window has of one subject and group."""

    value: float
    """With all of its digits; not every client's number holds them."""
    window_start: datetime
    window_end: datetime
    subject: str | None
    group_by: dict[str, str | None]


class MeterRows(msgspec.Struct):
    """What a meter says."""

    data: list[MeterRow]


class EntitlementState(msgspec.Struct, rename="camel"):
    """How an entitlement stands; the figures are there where a meter measures it."""

    has_access: bool


EVENTS_ANSWERS: dict[str, Any] = {
    "outside_events.send_events": None,
    "meters.list_meters": list[Meter],
    "meters.get_meter": Meter,
    "meters.query_meter": MeterRows,
    "meters.ask_meter": MeterRows,
    "entitlements.get_value": EntitlementState,
    "entitlements.get_customer_value": EntitlementState,
}

OF_OPENMETER = frozenset(EVENTS_ANSWERS)
"""The operations whose errors are problems of RFC 7807."""
