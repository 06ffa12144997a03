"""Small documents for the tests of this room."""

import json
from typing import Any

from axon.flags import EvaluationContext, FlagSet, Mistake, read_definitions
from axon.flags.errors import DefinitionInvalid

DAY_US = 86_400_000_000
NOON_US = 1_764_590_400_000_000
"""2025-12-01T12:00:00Z."""


def switch(targeting: Any = None, default: str | None = "off", **metadata: Any) -> dict[str, Any]:
    """Return a flag that is on or off; metadata's names get our prefix."""
    flag: dict[str, Any] = {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": default,
    }
    if targeting is not None:
        flag["targeting"] = targeting
    if metadata:
        flag["metadata"] = {f"axon.{name}": value for name, value in metadata.items()}
    return flag


def half(**metadata: Any) -> dict[str, Any]:
    """Return a switch that is on for half of all units."""
    return switch({"fractional": [["on", 50], ["off", 50]]}, **metadata)


def flag_set(flags: dict[str, Any], **members: Any) -> FlagSet:
    """Return the flags of a document."""
    return read_definitions(json.dumps({"flags": flags, **members}).encode())


def mistakes_of(flags: Any, **members: Any) -> list[Mistake]:
    """Return what is wrong with a document; none when it can be read."""
    try:
        flag_set(flags, **members)
    except DefinitionInvalid as invalid:
        return list(invalid.errors)
    return []


def someone(key: str = "user-1", **known: Any) -> EvaluationContext:
    """Return a context at noon."""
    return EvaluationContext(**{"now_us": NOON_US, "targeting_key": key, **known})


def people(count: int) -> list[EvaluationContext]:
    """Return so many people at noon."""
    return [someone(f"user-{number}") for number in range(count)]
