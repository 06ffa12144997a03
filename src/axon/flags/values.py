"""What is asked of a flag and what it answers, as plain values."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from axon.base import MICROS_PER_SECOND

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | Mapping[str, JsonValue] | None"
"""Anything JSON can say. What a flag answers is shared by all who ask: nobody may change it."""

Primitive: TypeAlias = bool | int | float | str
"""What metadata may hold (flagd's schema)."""

BOOLEAN, STRING, NUMBER, OBJECT = "boolean", "string", "number", "object"
"""The kinds of flags: all variants of one flag are of one kind."""

STATIC = "STATIC"
"""The flag has no targeting: everybody gets its default variant."""
TARGETING_MATCH = "TARGETING_MATCH"
"""The targeting named the variant."""
SPLIT = "SPLIT"
"""The targeting named the variant, and a `fractional` of it placed the unit in a bucket."""
DISABLED = "DISABLED"
"""The flag is off for this context and `detail` says why; the caller does what it does without."""
DEFAULT = "DEFAULT"
"""The targeting named nothing: the default variant, or none where the flag names none."""
ERROR = "ERROR"
"""It could not be decided: off, and `error_code` says why."""
REASONS = (STATIC, TARGETING_MATCH, SPLIT, DISABLED, DEFAULT, ERROR)
"""OpenFeature's reasons, as far as they can happen here."""

FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
PARSE_ERROR = "PARSE_ERROR"
TYPE_MISMATCH = "TYPE_MISMATCH"
TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
GENERAL = "GENERAL"
ERROR_CODES = (FLAG_NOT_FOUND, PARSE_ERROR, TYPE_MISMATCH, TARGETING_KEY_MISSING, GENERAL)
"""OpenFeature's error codes, as far as they can happen here."""

UNITS = ("user", "org", "conversation")
"""Whom a split places: `user` is the targeting key."""

OWNED = ("targetingKey", "user", "org", "conversation", "region", "model", "tier", "$flagd")
"""What rules read under these names is what the server knows. A client's claim is never read,
also not where the server knows nothing."""

_NOTHING_CLAIMED: Mapping[str, JsonValue] = MappingProxyType({})


class EvaluationContext(msgspec.Struct, frozen=True, kw_only=True):
    """For whom and when a flag is asked. Empty is unknown: rules read null."""

    now_us: int
    """The instant rules see; as seconds it is `$flagd.timestamp`."""
    targeting_key: str = ""
    """Who is placed by splits of unit `user`."""
    user: str = ""
    org: str = ""
    conversation: str = ""
    region: str = ""
    """Where the server knows the caller to be."""
    model: str = ""
    tier: str = ""
    claimed: Mapping[str, JsonValue] = _NOTHING_CLAIMED
    """What the client says of itself; names in OWNED are ignored."""
    placed: str = ""
    """Whom experiments of unit `user` place, as every door of ours names a person; empty is the
    targeting key. Somebody who was there before signing in may still be placed as then."""
    data: dict[str, JsonValue] = msgspec.field(default_factory=dict)
    """What rules read; made of all above. Nobody gives or changes it."""

    def __post_init__(self) -> None:
        data: dict[str, JsonValue] = {
            name: value for name, value in self.claimed.items() if name not in OWNED
        }
        known = {
            "targetingKey": self.targeting_key,
            "user": self.user,
            "org": self.org,
            "conversation": self.conversation,
            "region": self.region,
            "model": self.model,
            "tier": self.tier,
        }
        data.update({name: value for name, value in known.items() if value})
        msgspec.structs.force_setattr(self, "data", data)

    @property
    def timestamp(self) -> int:
        """Return whole seconds since 1970, as `$flagd.timestamp` counts them."""
        return self.now_us // MICROS_PER_SECOND

    def unit_id(self, unit: str) -> str:
        """Return the id a split of the unit places; empty when it is not known."""
        if unit == "user":
            return self.targeting_key
        return self.org if unit == "org" else self.conversation

    def placed_id(self, unit: str) -> str:
        """Return the id by which an experiment places a unit; empty when it is not known."""
        return (unit == "user" and self.placed) or self.unit_id(unit)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What a flag answered. Off is no variant and no value: the caller does what it does without
    the flag."""

    key: str
    value: JsonValue = None
    variant: str | None = None
    reason: str
    metadata: Mapping[str, Primitive] = {}
    """Of the flag, over that of its set."""
    definition_version: str = ""
    """Names exactly this definition, by its content; empty for a flag that is not there."""
    bucketing_version: str = ""
    """How units were or would be placed: v2 or v3."""
    unit: str = ""
    """Who is placed: one of UNITS."""
    error_code: str | None = None
    detail: str = ""
    """Why it is off, for people: of DISABLED and ERROR."""


def variant_name(value: JsonValue) -> str | None:
    """Return the variant that a targeting's result names; None when it names none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
