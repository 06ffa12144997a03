"""The settings of what outside events are counted by."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from axon.app.settings.walk import Mistakes
from axon.metering import (
    NAME_PATTERN,
    PATH_PATTERN,
    Aggregation,
    Entitlement,
    Meter,
    Meters,
    MeterWrong,
)

_PATH = {"form": "a path like $.usage.tokens"}


class MeterSettings(Struct, frozen=True, kw_only=True):
    """One meter over outside events, by its slug; see docs/events.md."""

    event_type: Annotated[
        str,
        Meta(
            min_length=1,
            extra={"form": "a CloudEvents type"},
            description="The `type` of the events it counts.",
        ),
    ]
    aggregation: Annotated[Aggregation, Meta(description="How values are added up.")]
    value_property: Annotated[
        str,
        Meta(
            pattern=f"^$|{PATH_PATTERN}",
            extra=_PATH,
            description="Where in `data` the value stands; empty for COUNT.",
        ),
    ] = ""
    group_by: Annotated[
        dict[str, Annotated[str, Meta(pattern=PATH_PATTERN, extra=_PATH)]],
        Meta(
            extra={"form": "a table of paths"},
            description="Names to group by, and the path in `data` that each stands for.",
        ),
    ] = {}
    description: Annotated[str, Meta(description="What it is, for people.")] = ""


class EntitlementSettings(Struct, frozen=True, kw_only=True):
    """What every subject may use of a feature, by the feature's key."""

    meter: Annotated[
        str, Meta(description="The meter it is measured by; empty: not measured, always granted.")
    ] = ""
    amount: Annotated[
        Decimal,
        Meta(
            extra={"form": "a number that is not below 0"},
            description="What the meter may come to in a period.",
        ),
    ] = Decimal(0)
    period: Annotated[
        Literal["day", "month"], Meta(description="By the organization's own calendar.")
    ] = "month"
    config: Annotated[str, Meta(description="Any text, handed out with the value.")] = ""


class MeteringSettings(Struct, frozen=True, kw_only=True):
    """Outside events: when a month is closed, and what counts them."""

    closed_after_days: Annotated[
        int,
        Meta(
            ge=0,
            le=366,
            description="A month is closed so many days after its end, in the organization's time "
            "zone; events of a closed month are late.",
        ),
    ] = 3
    late_events: Annotated[
        Literal["accept", "refuse"],
        Meta(description="Accept late events, marked as such, or refuse them with 400."),
    ] = "accept"
    meters: Annotated[
        dict[str, MeterSettings], Meta(description="The meters over outside events.")
    ] = {}
    entitlements: Annotated[
        dict[str, EntitlementSettings], Meta(description="What every subject may use.")
    ] = {}


def check_metering(settings: MeteringSettings, mistakes: Mistakes) -> None:
    """Find meters that cannot be counted, and entitlements that nothing measures."""
    for slug, meter in settings.meters.items():
        try:
            _meter(slug, meter)
        except MeterWrong as error:
            mistakes.add(f"metering.meters.{slug}", error.detail)
    for key, one in settings.entitlements.items():
        path = f"metering.entitlements.{key}"
        if not re.match(NAME_PATTERN, key):
            mistakes.add(path, "must be named by letters, digits and _")
        if one.meter and one.meter not in settings.meters:
            mistakes.add(f"{path}.meter", "names no meter")
        if not one.amount.is_finite() or one.amount < 0:
            mistakes.add(f"{path}.amount", "must be a number that is not below 0")


def meters_of(settings: MeteringSettings) -> Meters:
    """Return the meters of settings that were checked."""
    return Meters([_meter(slug, one) for slug, one in settings.meters.items()])


def entitlements_of(settings: MeteringSettings) -> list[Entitlement]:
    """Return the entitlements of settings that were checked."""
    return [
        Entitlement(
            key=key, meter=one.meter, amount=one.amount, period=one.period, config=one.config
        )
        for key, one in settings.entitlements.items()
    ]


def _meter(slug: str, settings: MeterSettings) -> Meter:
    return Meter(
        slug=slug,
        event_type=settings.event_type,
        aggregation=settings.aggregation,
        value_property=settings.value_property,
        group_by=settings.group_by,
        description=settings.description,
    )
