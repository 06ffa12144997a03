"""GrowthBook's features, as its API gives them to clients, as flags."""

from collections.abc import Callable
from functools import partial

import msgspec

from axon.app.flag_import.growthbook_conditions import (
    Groups,
    can_be_placed,
    condition,
    read_attribute,
)
from axon.app.flag_import.growthbook_splits import (
    goes_on,
    place_of,
    places_of,
    ranges_of,
    within_filters,
    within_namespace,
)
from axon.app.flag_import.made import (
    OFF,
    ON,
    PLACES,
    Made,
    Parent,
    chosen,
    every,
    placed_among,
    placed_within,
)
from axon.app.flag_import.part import Part, Unkept
from axon.flags import JsonValue

REMARKS = (
    "The attribute id becomes targetingKey; all other attributes keep their names.",
    "To flagd's rules true is 1 and false is 0, wherever they compare numbers or booleans.",
    "What sticky buckets remember of people is no part of the file.",
)

NAME_CHARS_MAX = 64
"""Of a text that is its own variant's name; longer ones are counted."""

_MEMBERS = (
    "id", "key", "name", "phase", "meta", "seed", "hashVersion", "hashAttribute", "force",
    "variations", "weights", "coverage", "range", "ranges", "namespace", "filters", "condition",
    "parentConditions", "disableStickyBucketing", "bucketVersion", "minBucketVersion",
    "fallbackAttribute",
)  # fmt: skip
_IGNORED_OF_FEATURE = ("description", "project", "tags", "dateUpdated", "owner")


def growthbook_flags(document: Part) -> tuple[dict[str, Callable[[], Made]], dict[str, JsonValue]]:
    """Return by key what makes each flag, or raises Unkept, and no shared rules.

    Raises Unkept for a document that is none of GrowthBook's.
    """
    wrapped = document.at("features").value is not None
    features = document.at("features") if wrapped else document
    groups = document.at("savedGroups") if wrapped else Part("$.savedGroups", None)
    if groups.value is None:
        groups = Part(groups.path, {})
    return {key: partial(_made, key, part, groups) for key, part in features.members()}, {}


def _made(key: str, part: Part, groups: Groups) -> Made:
    part.only(("defaultValue", "rules"), _IGNORED_OF_FEATURE)
    feature = _Feature(Made(key=key, path=part.path), groups)
    default = part.at("defaultValue").value
    if default is not None:
        feature.made.default = feature.named(default)
    rules = part.at("rules").items()
    branches = [one for at, rule in enumerate(rules) for one in feature.branch(rule, first=at == 0)]
    found = chosen(branches, feature.made.default)
    if isinstance(found, str):
        feature.made.default = found
    else:
        feature.made.targeting = found
    if all(isinstance(one, bool) for one in feature.made.variants.values()):
        feature.made.variants |= {ON: True, OFF: False}
    return feature.made


class _Feature:
    """One feature, while its rules are read."""

    def __init__(self, made: Made, groups: Groups) -> None:
        """`groups` are the lists that conditions name."""
        self.made, self._groups = made, groups
        self._names: dict[bytes, str] = {}

    def named(self, value: JsonValue) -> str:
        """Return the name of the variant that has this value."""
        mark = msgspec.json.encode(value, order="deterministic")
        name = self._names.get(mark)
        if name is None:
            name = self._names[mark] = self._new_name(value)
            self.made.variants[name] = value
        return name

    def _new_name(self, value: JsonValue) -> str:
        if isinstance(value, bool):
            return ON if value else OFF
        if isinstance(value, int | float):
            name = msgspec.json.encode(value).decode()
        elif isinstance(value, str) and 1 <= len(value) <= NAME_CHARS_MAX and "," not in value:
            name = value
        else:
            name = f"value-{len(self._names) + 1}"
        while name in self.made.variants:
            name += "-"
        return name

    def branch(self, rule: Part, *, first: bool) -> list[tuple[JsonValue, JsonValue]]:
        """Return for whom a rule says which variant; nothing of one that says none."""
        rule.only(_MEMBERS)
        if rule.at("fallbackAttribute").value is not None:
            why = "Axon has no second unit for whoever lacks the first"
            raise Unkept(rule.at("fallbackAttribute").path, why)
        self._require(rule.at("parentConditions").items(), first=first)
        held = [
            condition(self.made, rule.at("condition"), self._groups),
            within_filters(self.made, rule.at("filters").items()),
        ]
        if rule.at("force").value is not None:
            held.append(self._covered(rule))
            return [(every(held), self.named(rule.at("force").value))]
        if len(rule.at("variations").items()) < 2:
            return []  # GrowthBook asks no such rule
        split, variant = self._experiment(rule)
        return [(every([*held, split]), variant)]

    def _covered(self, rule: Part) -> JsonValue:
        """Return the logic of whom a forced value reaches."""
        if rule.at("range").value is not None:
            ranges = [places_of(rule.at("range"))]
        elif rule.at("coverage").value is not None:
            ranges = [(0, place_of(rule.at("coverage")))]
        else:
            return True
        self.made.placed_anew(rule.path)
        seed = rule.at("seed").text("") or self.made.key
        unit = self._unit(rule)
        return every([can_be_placed(unit), placed_within(seed, unit, ranges)])

    def _experiment(self, rule: Part) -> tuple[JsonValue, JsonValue]:
        """Return the logic of who takes part, and that which names their variants."""
        names = [self.named(one.value) for one in rule.at("variations").items()]
        seed = rule.at("seed").text("") or rule.at("key").text("") or self.made.key
        unit = self._unit(rule)
        ranges = ranges_of(self.made, rule)
        if not ranges:
            return False, None
        self.made.placed_anew(rule.path)
        taking_part = [(one.begins, one.ends) for one in ranges if not goes_on(rule, one.at)]
        ends = [*(one.begins for one in ranges[1:]), PLACES]
        begins = [0, *ends[:-1]]
        weights = [
            (names[one.at], end - begin)  # who stands between two ranges takes no part
            for one, begin, end in zip(ranges, begins, ends, strict=True)
        ]
        within = [can_be_placed(unit), placed_within(seed, unit, taking_part)]
        if rule.at("filters").value is None:
            within.append(within_namespace(unit, rule.at("namespace")))
        return every(within), placed_among(seed, unit, weights)

    def _unit(self, rule: Part) -> JsonValue:
        part = rule.at("hashAttribute")
        return read_attribute(self.made, part.text("id"), part)

    def _require(self, parents: list[Part], *, first: bool) -> None:
        for part in parents:
            part.only(("id", "condition", "gate"))
            if not first or not part.at("gate").truth(False):
                why = "a rule cannot ask other flags; only what gates a whole flag is kept"
                raise Unkept(part.path, why)
            part.at("condition").only(("value",))
            self.made.parents.append(
                Parent(
                    path=part.path,
                    key=part.at("id").text(),
                    condition=part.at("condition").at("value"),
                )
            )
