"""Meters and what they say, as OpenMeter shows them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from axon.base import utc_from_us
from axon.metering import EntitlementValue, Meter, MeterSum

_encoder = msgspec.json.Encoder(decimal_format="number")

_SINCE = utc_from_us(0)
"""Meters are configuration and nobody knows since when; the client wants some instant."""


def exact_json(value: object) -> bytes:
    """Return the value as JSON, decimals as numbers with all of their digits."""
    return _encoder.encode(value)


def meter_shown(meter: Meter) -> dict[str, object]:
    """Return a meter; its slug is its id, too."""
    shown: dict[str, object] = {
        "id": meter.slug,
        "slug": meter.slug,
        "name": meter.slug,
        "eventType": meter.event_type,
        "aggregation": meter.aggregation,
        "groupBy": dict(meter.group_by),
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
    }
    if meter.value_property:
        shown["valueProperty"] = meter.value_property
    if meter.description:
        shown["description"] = meter.description
    return shown


def sums_shown(
    start: datetime | None, to: datetime | None, window_size: str | None, sums: Sequence[MeterSum]
) -> dict[str, object]:
    """Return what was asked, where it was, and the values."""
    asked = {"from": start, "to": to, "windowSize": window_size}
    shown: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
    shown["data"] = [
        {
            "value": one.value,
            "windowStart": utc_from_us(one.window.start_us),
            "windowEnd": utc_from_us(one.window.end_us),
            "subject": one.subject,
            "groupBy": dict(one.groups),
        }
        for one in sums
    ]
    return shown


def entitlement_shown(value: EntitlementValue) -> dict[str, object]:
    """Return how an entitlement stands; what does not concern it is left out."""
    shown: dict[str, object] = {"hasAccess": value.has_access}
    if value.usage is not None:
        shown["balance"] = value.balance
        shown["usage"] = value.usage
        shown["overage"] = value.overage
        shown["totalAvailableGrantAmount"] = value.amount
    if value.config:
        shown["config"] = value.config
    return shown
