"""What is taken of an event, and which member is named of one that is not."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from axon.metering import EventWrong, Meter, Meters
from axon.metering.cloud_events import (
    DEPTH_MAX,
    EVENT_BYTES_MAX,
    FUTURE_MAX_US,
    TEXT_BYTES_MAX,
    EventReader,
)
from tests.metering.scene import START_US

METERS = Meters(
    [
        Meter(
            slug="tokens", event_type="prompt", aggregation="SUM", value_property="$.usage.tokens"
        ),
        Meter(slug="who", event_type="visit", aggregation="UNIQUE_COUNT", value_property="$.who"),
        Meter(slug="orders", event_type="order", aggregation="COUNT"),
    ]
)
READER = EventReader(METERS, START_US, START_US - 1000)


def cloud_event(**changes: Any) -> bytes:
    usual = {"specversion": "1.0", "id": "1", "source": "s", "type": "order", "subject": "who"}
    return json.dumps({**usual, **changes}).encode()


def without(name: str) -> bytes:
    event = json.loads(cloud_event())
    del event[name]
    return json.dumps(event).encode()


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"in": value}
    return value


def instant(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat()


def test_an_event_is_kept_as_it_came() -> None:
    raw = b"""{"specversion": "1.0", "id": "1", "source": "s", "type": "t",
        "subject": "who", "time": "2026-09-21T14:13:20.000001+00:00", "extension": 7,
        "dataschema": "urn:x", "datacontenttype": "application/json",
        "data": {"a" : 1.10, "big": 1e99, "\\u00e9": null}}"""
    event = READER.read(raw, 0)
    assert (event.source, event.id, event.type, event.subject) == ("s", "1", "t", "who")
    assert event.time_us == START_US + 1
    assert event.data == b'{"a" : 1.10, "big": 1e99, "\\u00e9": null}'
    assert not event.late


def test_an_event_without_time_or_data_is_of_now_and_empty() -> None:
    for event in (cloud_event(), cloud_event(time=None, data=None, datacontenttype=None)):
        read = READER.read(event, 0)
        assert (read.time_us, read.data, read.late) == (START_US, b"", False)


def test_the_time_decides_what_is_late() -> None:
    for time_us, late in ((START_US - 1001, True), (START_US - 1000, False)):
        assert READER.read(cloud_event(time=instant(time_us)), 0).late is late


@pytest.mark.parametrize(
    ("raw", "member"),
    [
        *((without(name), name) for name in ("specversion", "id", "source", "type", "subject")),
        *((cloud_event(**{name: ""}), name) for name in TEXT_BYTES_MAX),
        *((cloud_event(**{name: "\0"}), name) for name in TEXT_BYTES_MAX),
        *((cloud_event(**{name: "é" * most}), name) for name, most in TEXT_BYTES_MAX.items()),
        (cloud_event(id=7), "id"),
        (cloud_event(subject=None), "subject"),
        (cloud_event(specversion="0.3"), "specversion"),
        (cloud_event(time="yesterday"), "time"),
        (cloud_event(time="2026-09-21T14:13:20"), "time"),
        (cloud_event(time="1969-12-31T23:59:59Z"), "time"),
        (cloud_event(time="0001-01-01T00:00:00+14:00"), "time"),
        (cloud_event(time=instant(START_US + FUTURE_MAX_US + 1)), "time"),
        (cloud_event(datacontenttype="text/xml"), "datacontenttype"),
        (cloud_event(data_base64="AAAA"), "data_base64"),
        (cloud_event(data=[1]), "data"),
        (cloud_event(data="text"), "data"),
        (cloud_event(data={"a": "\0"}), "data"),
        (cloud_event(data={"a": [{"\0": 1}]}), "data"),
        (cloud_event(data=nested(DEPTH_MAX + 1)), "data"),
        (cloud_event(data={"a": "x" * EVENT_BYTES_MAX}), "data"),
        *(
            (cloud_event(data={}).replace(b"{}", b'{"a": [%b]}' % number), "data")
            for number in (b"1e999", b"1e-20000", b"0e99999", b"1E+0400", b"0." + b"1" * 999)
        ),
        (cloud_event(data={}).replace(b"{}", b'{"a": "\\ud800"}'), ""),
        (cloud_event(data={}).replace(b"{}", b'{"a": "\xff"}'), "data"),
        (cloud_event(data={}).replace(b"{}", b'{"a": ' + b"[" * 20_000), ""),
        (b"[]", ""),
        (b"{", ""),
        (b"", ""),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, member: str) -> None:
    with pytest.raises(EventWrong) as caught:
        READER.read(raw, 3)
    assert caught.value.index == 3
    assert caught.value.member == member


def test_what_is_just_within_the_bounds_is_taken() -> None:
    for name, most in TEXT_BYTES_MAX.items():
        READER.read(cloud_event(**{name: "x" * most}), 0)
    READER.read(cloud_event(data=nested(DEPTH_MAX)), 0)
    READER.read(cloud_event(time=instant(START_US + FUTURE_MAX_US)), 0)
    room = EVENT_BYTES_MAX - len(cloud_event(data={"a": ""}))
    READER.read(cloud_event(data={"a": "x" * room}), 0)


@pytest.mark.parametrize("tokens", [0, -1.5, "7", "+7.25", "1e3", 10**99, "0." + "1" * 100])
def test_a_number_is_metered_also_as_text(tokens: object) -> None:
    READER.read(cloud_event(type="prompt", data={"usage": {"tokens": tokens}}), 0)


@pytest.mark.parametrize(
    "tokens",
    [
        *("many", "", " 7", "7\n", "٣", "0x10", "1e999", "9" * 101, "NaN"),
        *(True, None, [1], {"a": 1}, 10**100),
    ],
)
def test_an_event_that_its_meter_would_lose_is_refused(tokens: object) -> None:
    with pytest.raises(EventWrong) as caught:
        READER.read(cloud_event(type="prompt", data={"usage": {"tokens": tokens}}), 0)
    assert caught.value.member == "data.usage.tokens"


def test_a_value_that_is_only_told_apart_may_be_any() -> None:
    for who in ("a", 1, False):
        READER.read(cloud_event(type="visit", data={"who": who}), 0)
    lost: list[dict[str, Any]] = [{}, {"who": {}}, {"who": None}]
    for data in lost:
        with pytest.raises(EventWrong):
            READER.read(cloud_event(type="visit", data=data), 0)
