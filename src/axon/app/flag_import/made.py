"""What becomes of one flag, and the logic it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from axon.app.flag_import.part import Part, Unkept
from axon.flags import OWNED, JsonValue, Mistake

ON, OFF = "on", "off"
"""The variants of a flag that is true or false."""

PERSON = "targetingKey"
"""What rules read of whom a split places."""

PLACES: Final = 10_000
"""Parts of a split: the finest that the hashing of GrowthBook knows; Unleash has a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Another flag without which a flag is off."""

    path: str
    key: str
    variants: tuple[str, ...] | None = None
    """That it must answer; None where it must only be on."""
    condition: Part | None = None
    """What its value must be; GrowthBook's."""


@dataclass(slots=True, kw_only=True)
class Made:
    """A flag in the making."""

    key: str
    path: str
    variants: dict[str, JsonValue] = field(default_factory=dict)
    default: str | None = None
    enabled: bool = True
    targeting: JsonValue = None
    description: str = ""
    rules: set[str] = field(default_factory=set)
    """The shared rules that it refers to."""
    parents: list[Parent] = field(default_factory=list)
    requires: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: dict[Mistake, None] = field(default_factory=dict)

    def note(self, path: str, message: str) -> None:
        """Tell of something that will not be as it was; the same thing once."""
        self.notes[Mistake(path, message)] = None

    def read(self, name: str, part: Part) -> JsonValue:
        """Return the logic that reads what the context says under a name of the vendor's."""
        if not name or name.startswith("$"):
            raise Unkept(part.path, f'"{name}" is no name that a rule can read')
        if name.partition(".")[0] in OWNED and name != PERSON:
            self.note(part.path, f'"{name}" is what Axon knows, whatever a client says of itself')
        return {"var": name}

    def placed_anew(self, path: str) -> None:
        """Tell that a split places people by another hashing than it did."""
        self.note(path, "people are placed anew, in the same proportions: Axon hashes otherwise")

    def definition(self) -> dict[str, JsonValue]:
        """Return it in flagd's format with our extensions."""
        metadata: dict[str, JsonValue] = {
            f"axon.requires.{key}": ",".join(names) for key, names in self.requires.items()
        }
        if self.description:
            metadata["description"] = self.description
        found: dict[str, JsonValue] = {
            "state": "ENABLED" if self.enabled else "DISABLED",
            "variants": self.variants,
            "defaultVariant": self.default,
            "targeting": self.targeting,
            "metadata": metadata,
        }
        return {name: value for name, value in found.items() if value is not None and value != {}}


def every(conditions: Sequence[JsonValue]) -> JsonValue:
    """Return the logic that holds where all of them hold; true and false are worked out."""
    if any(one is False for one in conditions):
        return False
    left: list[JsonValue] = []
    for one in conditions:
        inner = one.get("and") if isinstance(one, dict) else None
        left += inner if isinstance(inner, list) else [] if one is True else [one]
    if len(left) <= 1:
        return left[0] if left else True
    return {"and": left}


def either(conditions: Sequence[JsonValue]) -> JsonValue:
    """Return the logic that holds where one of them holds."""
    if any(one is True for one in conditions):
        return True
    left: list[JsonValue] = [one for one in conditions if one is not False]
    if len(left) <= 1:
        return left[0] if left else False
    return {"or": left}


def negated(condition: JsonValue) -> JsonValue:
    """Return the logic that holds where the condition does not."""
    if isinstance(condition, bool):
        return not condition
    return {"!": [condition]}


def chosen(branches: Sequence[tuple[JsonValue, JsonValue]], otherwise: JsonValue) -> JsonValue:
    """Return the result of the first branch whose condition holds: a name, logic, or null."""
    words: list[JsonValue] = []
    for condition, result in branches:
        if condition is False:
            continue
        if condition is True:
            otherwise = result
            break
        words += [condition, result]
    return {"if": [*words, otherwise]} if words else otherwise


def placed_within(seed: str, unit: JsonValue, ranges: Sequence[tuple[int, int]]) -> JsonValue:
    """Return the logic that holds for the units whose place, of PLACES, lies in a range.

    The same seed gives a unit the same place. Who has no such unit is in no range.
    """
    joined: list[tuple[int, int]] = []
    for begins, ends in sorted(one for one in ranges if one[0] < one[1]):
        if joined and joined[-1][1] == begins:
            joined[-1] = (joined[-1][0], ends)
        else:
            joined.append((begins, ends))
    if not joined:
        return False
    if joined == [(0, PLACES)]:
        return {"!!": [unit]}
    parts: list[JsonValue] = []
    reached = 0
    for begins, ends in joined:
        parts += [["out", begins - reached]] if begins > reached else []
        parts.append(["in", ends - begins])
        reached = ends
    parts += [["out", PLACES - reached]] if reached < PLACES else []
    split: JsonValue = {"fractional": [{"cat": [seed, unit]}, *parts]}
    return every([unit, {"===": [split, "in"]}])


def placed_among(seed: str, unit: JsonValue, weights: Sequence[tuple[str, int]]) -> JsonValue:
    """Return the logic that names the variant of a unit; no split where there is but one."""
    shares = [(name, weight) for name, weight in weights if weight]
    if len({name for name, _ in shares}) == 1:
        return shares[0][0]
    split: list[JsonValue] = [[name, weight] for name, weight in shares]
    return {"fractional": [{"cat": [seed, unit]}, *split]}
