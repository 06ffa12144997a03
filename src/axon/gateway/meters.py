"""`/api/v1/meters`: what outside events come to, in OpenMeter's shapes.

Source: OpenMeter's OpenAPI; openmeter 1.0.0b236 is the reference client.
"""

import ast
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.meter_shapes import exact_json, meter_shown, sums_shown
from axon.gateway.problem import RequestRefused, refuse
from axon.metering import SUBJECT, Meter, MeterQuestion, Width, zone_named

WindowSize = Literal["MINUTE", "HOUR", "DAY", "MONTH"]

_WIDTHS: Mapping[WindowSize, Width] = {
    "MINUTE": "minute",
    "HOUR": "hour",
    "DAY": "day",
    "MONTH": "month",
}

CHOICES_MAX = 100
"""Of subjects, groups or values that one request may name."""

_FILTER_CHARS_MAX = 4096

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Choices = Annotated[list[str], msgspec.Meta(max_length=CHOICES_MAX)]


class _Filter(msgspec.Struct, rename={"equal": "$eq", "among": "$in"}, forbid_unknown_fields=True):
    """What OpenMeter's advanced filters can say that is understood here."""

    equal: str | None = None
    among: _Choices | None = None

    def values(self) -> list[str]:
        """Return the values that pass."""
        return [*([] if self.equal is None else [self.equal]), *(self.among or [])]


class MeterQuery(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A question, as the body of a POST says it and as the query of a GET is turned into."""

    start: _Instant | None = msgspec.field(name="from", default=None)
    to: _Instant | None = None
    window_size: WindowSize | None = None
    window_time_zone: str | None = None
    subject: _Choices | None = None
    group_by: _Choices | None = None
    filter_group_by: dict[str, _Choices] | None = None
    advanced_meter_group_by_filters: dict[str, _Filter] | None = None
    filter_customer_id: Annotated[list[str], msgspec.Meta(max_length=0)] | None = None
    """There are no customers beside subjects."""


_query = msgspec.json.Decoder(MeterQuery)


async def list_meters(door: Door, call: Call) -> None:
    """Answer with the meters of the configuration."""
    await call.reply_value([meter_shown(meter) for meter in door.events.meters])


async def get_meter(door: Door, call: Call, meter_id: str) -> None:
    """Answer with one meter."""
    await call.reply_value(meter_shown(door.events.meters.named(meter_id)))


async def query_meter(door: Door, call: Call, meter_id: str) -> None:
    """Answer with a meter's values by window, subject and group; exact, not rounded to a float.

    Without `windowSize` the whole time is one window. Who names subjects is told them apart.
    """
    await _answer(door, call, meter_id, _from_url(call.query_values()))


async def ask_meter(door: Door, call: Call, meter_id: str) -> None:
    """Answer as the GET does, to a question in the body, whose filters may name several values."""
    await _answer(door, call, meter_id, await _from_body(door, call))


async def _answer(door: Door, call: Call, meter_id: str, query: MeterQuery) -> None:
    meter = door.events.meters.named(meter_id)
    now_us = door.clock.now_us()
    question = MeterQuestion(
        org_id=call.caller.org_id,
        meter=meter,
        from_us=None if query.start is None else instant_us(query.start),
        to_us=now_us + 1 if query.to is None else instant_us(query.to),
        window=None if query.window_size is None else _WIDTHS[query.window_size],
        zone=zone_named(query.window_time_zone or "UTC"),
        subjects=tuple(query.subject or ()),
        group_by=_groups(meter, query),
        filters=_filters(meter, query),
    )
    if "text/csv" in (call.header(b"accept") or ""):
        raise refuse("Only JSON is offered.", param="accept", code="unsupported_value")
    sums = await door.events.sums.ask(question)
    await call.reply_json(exact_json(sums_shown(query.start, query.to, query.window_size, sums)))


def instant_us(at: datetime) -> int:
    """Return an instant in microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


async def _from_body(door: Door, call: Call) -> MeterQuery:
    try:
        return _query.decode(await call.body(door.options.body_bytes_max))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _misread(error) from error


def _from_url(values: Mapping[str, list[str]]) -> MeterQuery:
    """Return the question of a URL: `filterGroupBy[name]=value`, lists by repeating the name."""
    asked: dict[str, object] = {}
    filters: dict[str, list[str]] = {}
    for name, given in values.items():
        if name in ("subject", "groupBy", "filterCustomerId"):
            asked[name] = [text for text in given if text]
        elif name.startswith("filterGroupBy[") and name.endswith("]"):
            filters[name[len("filterGroupBy[") : -1]] = given
        elif name == "filterGroupBy":
            filters |= {key: [value] for key, value in _python_pairs(given[-1]).items()}
        elif name == "advancedMeterGroupByFilters":
            asked[name] = _json(given[-1])
        elif given[-1]:
            asked[name] = given[-1]
    if filters:
        asked["filterGroupBy"] = filters
    try:
        return msgspec.convert(asked, MeterQuery)
    except msgspec.ValidationError as error:
        raise _misread(error) from error


def _python_pairs(text: str) -> dict[str, str]:
    """Return the pairs of a `filterGroupBy` without a name.

    The published Python client sends what Python prints for its dictionary, single quotes and all.
    """
    try:
        pairs = ast.literal_eval(text[:_FILTER_CHARS_MAX])
        return msgspec.convert(pairs, dict[str, str])
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        message = "Invalid 'filterGroupBy': use filterGroupBy[name]=value."
        raise refuse(message, param="filterGroupBy", code="invalid_value") from error


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _misread(error) from error


def _misread(error: Exception) -> RequestRefused:
    told = str(error).replace("`", "'")
    return refuse(f"This is no question to a meter: {told}.", code="invalid_value")


def _groups(meter: Meter, query: MeterQuery) -> tuple[str, ...]:
    groups = list(dict.fromkeys(query.group_by or ()))
    for name in groups:
        if name != SUBJECT and name not in meter.group_by:
            raise refuse(f"Invalid 'groupBy': {name[:64]!r}.", param="groupBy")
    if query.subject and SUBJECT not in groups:
        groups.append(SUBJECT)
    return tuple(groups)


def _filters(meter: Meter, query: MeterQuery) -> dict[str, tuple[str, ...]]:
    if any("\0" in subject for subject in query.subject or ()):
        raise refuse("Invalid 'subject': it holds U+0000.", param="subject")
    filters = {name: tuple(values) for name, values in (query.filter_group_by or {}).items()}
    for name, one in (query.advanced_meter_group_by_filters or {}).items():
        filters[name] = tuple(one.values())
    for name, values in filters.items():
        if name not in meter.group_by or not values:
            raise refuse(f"Invalid 'filterGroupBy': {name[:64]!r}.", param="filterGroupBy")
        if any("\0" in value for value in values):
            raise refuse("Invalid 'filterGroupBy': it holds U+0000.", param="filterGroupBy")
    return filters
