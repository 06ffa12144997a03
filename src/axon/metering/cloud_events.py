"""Reads CloudEvents 1.0, the JSON format: what is not accepted is named by index and member.

Source: CloudEvents 1.0.2, its JSON event format and JSON batch format; of `data` an object is
wanted, as OpenMeter does.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from axon.base import KIB
from axon.metering.errors import EventWrong
from axon.metering.meters import Json, Meter, Meters, is_number, value_at
from axon.records import OutsideEvent

EVENT_BYTES_MAX = 64 * KIB
"""Of one event as it came."""

TEXT_BYTES_MAX = {"source": 1024, "id": 256, "type": 256, "subject": 512}
"""In UTF-8; together they fit PostgreSQL's indexes, whose rows have 2,704 bytes at most."""

DEPTH_MAX = 16
"""Objects and lists within each other in `data`, itself counted."""

NUMBER_CHARS_MAX = 1000
EXPONENT_DIGITS_MAX = 3
"""Of numbers that are not whole: PostgreSQL holds 16,383 digits behind the point."""

FUTURE_MAX_US = 86_400_000_000
"""How far ahead of our clock an event may say that it happened: a day, for clocks that are wrong
and local times that were sent as UTC. More is a mistake that would count in some other month."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MEMBER = re.compile(r"`\$\.(\w+)|field `(\w+)`")

_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _CloudEvent(msgspec.Struct, frozen=True, gc=False):
    """The attributes that are read; extensions are passed over, as CloudEvents allows."""

    specversion: Literal["1.0"]
    id: _Text
    source: _Text
    type: _Text
    subject: _Text
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    datacontenttype: Literal["application/json"] | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: str | None = None


def _number(text: str) -> float:
    """Return a number that is not whole; raise ValueError for one that PostgreSQL cannot hold."""
    _, _, exponent = text.lower().partition("e")
    if len(text) > NUMBER_CHARS_MAX or len(exponent.lstrip("+-")) > EXPONENT_DIGITS_MAX:
        raise ValueError("it holds a number that is too long")
    value = float(text)
    if math.isinf(value):
        raise ValueError("it holds a number that is too large")
    return value


_event = msgspec.json.Decoder(_CloudEvent)
_data: msgspec.json.Decoder[Json] = msgspec.json.Decoder(float_hook=_number)
_batch = msgspec.json.Decoder(list[msgspec.Raw])


class EventReader:
    """Reads the events of one request."""

    def __init__(self, meters: Meters, now_us: int, closed_before_us: int) -> None:
        """What happened before `closed_before_us` is late."""
        self._meters = meters
        self._now_us = now_us
        self._closed_before_us = closed_before_us

    def read(self, raw: msgspec.Raw | bytes, index: int) -> OutsideEvent:
        """Return the event; raises EventWrong, which names it by its index."""
        if len(memoryview(raw)) > EVENT_BYTES_MAX:
            raise EventWrong(index, "data", f"an event has at most {EVENT_BYTES_MAX} bytes")
        try:
            event = _event.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _misread(index, error) from error
        for name, most in TEXT_BYTES_MAX.items():
            text = getattr(event, name)
            if len(text.encode()) > most:
                raise EventWrong(index, name, f"it has more than {most} bytes")
            if why := _unstorable(text, 1):
                raise EventWrong(index, name, why)
        if event.data_base64 is not None:
            raise EventWrong(index, "data_base64", "only JSON is taken, as 'data'")
        time_us = self._time_us(event, index)
        return OutsideEvent(
            source=event.source,
            id=event.id,
            type=event.type,
            subject=event.subject,
            time_us=time_us,
            data=self._data(event, index),
            late=time_us < self._closed_before_us,
        )

    def _time_us(self, event: _CloudEvent, index: int) -> int:
        if event.time is None:
            return self._now_us
        time_us = (event.time - _EPOCH) // _MICROSECOND
        if time_us < 0:
            raise EventWrong(index, "time", "it is before 1970")
        if time_us > self._now_us + FUTURE_MAX_US:
            raise EventWrong(index, "time", "it is more than a day in the future")
        return time_us

    def _data(self, event: _CloudEvent, index: int) -> bytes:
        """Return the payload as it came, once it is known that it can be stored and metered."""
        raw = bytes(event.data)
        try:
            data = _data.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise EventWrong(index, "data", str(error)) from error
        if data is not None and not isinstance(data, dict):
            raise EventWrong(index, "data", "it must be a JSON object")
        if why := _unstorable(data, 1):
            raise EventWrong(index, "data", why)
        for meter in self._meters.of_type(event.type):
            _check_metered(meter, data, index)
        return b"" if data is None else raw


def raw_events(body: bytes) -> list[msgspec.Raw]:
    """Return the events of a batch, each still JSON; raises msgspec.DecodeError."""
    return _batch.decode(body)


def _misread(index: int, error: Exception) -> EventWrong:
    """Return msgspec's complaint as ours."""
    told = str(error)
    found = _MEMBER.search(told)
    member = next((name for name in found.groups() if name), "") if found else ""
    return EventWrong(index, member, told.partition(" - at `")[0].replace("`", "'"))


def _unstorable(value: Json, depth: int) -> str:
    """Return why PostgreSQL cannot hold the value, or should not; empty when it can."""
    if isinstance(value, str):
        return "it holds the character U+0000" if "\0" in value else ""
    if not isinstance(value, dict | list):
        return ""
    if depth > DEPTH_MAX:
        return f"it is nested deeper than {DEPTH_MAX}"
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    return next((why for one in inner if (why := _unstorable(one, depth + 1))), "")


def _check_metered(meter: Meter, data: Json, index: int) -> None:
    """Raise EventWrong when the meter would have to pass the event over."""
    if not meter.value_property:
        return
    value = value_at(data, meter.value_property)
    member = "data" + meter.value_property[1:]
    if value is None or isinstance(value, dict | list):
        raise EventWrong(index, member, f"meter {meter.slug} finds no value there")
    if meter.counts_numbers and not is_number(value):
        raise EventWrong(index, member, f"meter {meter.slug} wants a number there")
