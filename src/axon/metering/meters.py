"""Meters: what is counted of outside events. They are configuration, so a new one counts what is
already there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from axon.metering.errors import MeterWrong, UnknownMeter

Aggregation = Literal["SUM", "COUNT", "MAX", "UNIQUE_COUNT", "LATEST"]

SUBJECT = "subject"
"""What every meter can be grouped by beside its own names."""

NAME_PATTERN = "^[a-zA-Z0-9_]{1,64}$"
"""Of meters and of what they group by, as OpenMeter's."""

PATH_PATTERN = r"^\$(\.[A-Za-z0-9_-]{1,64}){1,8}$"
"""The part of JSONPath that is understood: `$.a.b`, members by their names."""

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

NUMBER_PATTERN = r"[+-]?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})([eE][+-]?[0-9]{1,2})?"
"""Text that counts as a number, the whole of it: many systems write their numbers as text. Python
and PostgreSQL understand the same by it."""

NUMBER_MAX = 10**100
"""What is not below it is no amount of anything, and no client's number can hold its sums."""

_number = re.compile(NUMBER_PATTERN)


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken of each event of a type, and how it is added up."""

    slug: str
    event_type: str
    aggregation: Aggregation
    value_property: str = ""
    """A path in the event's `data`; empty for COUNT, which needs none."""
    group_by: Mapping[str, str] = {}
    """Names, and the path in `data` that each stands for."""
    description: str = ""

    def __post_init__(self) -> None:
        """Raise MeterWrong for what cannot be counted."""
        if not re.match(NAME_PATTERN, self.slug):
            raise MeterWrong(f"{self.slug!r} is no name of letters, digits and _")
        if (self.aggregation != "COUNT") != bool(self.value_property):
            raise MeterWrong(f"{self.slug}: all but COUNT need a value_property, and COUNT none")
        for name in self.group_by:
            if not re.match(NAME_PATTERN, name) or name == SUBJECT:
                raise MeterWrong(f"{self.slug}: {name!r} is no name to group by")
        for path in (self.value_property or "$.none", *self.group_by.values()):
            if not re.match(PATH_PATTERN, path):
                raise MeterWrong(f"{self.slug}: {path!r} is no path like $.usage.tokens")

    @property
    def counts_numbers(self) -> bool:
        """Return whether the value must be a number."""
        return self.aggregation in ("SUM", "MAX", "LATEST")


class Meters:
    """The meters of the configuration."""

    def __init__(self, meters: Iterable[Meter] = ()) -> None:
        """Raise MeterWrong for two of one slug."""
        self._by_slug: dict[str, Meter] = {}
        self._by_type: dict[str, list[Meter]] = {}
        for meter in meters:
            if meter.slug in self._by_slug:
                raise MeterWrong(f"{meter.slug} is there twice")
            self._by_slug[meter.slug] = meter
            self._by_type.setdefault(meter.event_type, []).append(meter)

    def __iter__(self) -> Iterator[Meter]:
        return iter(self._by_slug.values())

    def named(self, slug: str) -> Meter:
        """Return the meter; raises UnknownMeter."""
        meter = self._by_slug.get(slug)
        if meter is None:
            raise UnknownMeter(slug)
        return meter

    def of_type(self, event_type: str) -> Iterable[Meter]:
        """Return the meters that count events of a type."""
        return self._by_type.get(event_type, ())


def members_of(path: str) -> list[str]:
    """Return the names of the members that a path goes through."""
    return path.split(".")[1:]


def value_at(data: Json, path: str) -> Json:
    """Return what stands at the path, None when nothing does."""
    for name in members_of(path):
        if not isinstance(data, dict) or name not in data:
            return None
        data = data[name]
    return data


def is_number(value: Json) -> bool:
    """Return whether a meter can add the value up: a number, or a text that is one."""
    if isinstance(value, str):
        return _number.fullmatch(value) is not None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < NUMBER_MAX
