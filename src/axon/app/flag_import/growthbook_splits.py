"""Whom GrowthBook's rules reach: coverages, weights, ranges, filters and namespaces as places."""

from itertools import accumulate, pairwise
from typing import NamedTuple

from axon.app.flag_import.growthbook_conditions import can_be_placed, read_attribute
from axon.app.flag_import.made import PLACES, Made, every, placed_within
from axon.app.flag_import.part import Part, Unkept
from axon.flags import JsonValue

_SUM_LEAST, _SUM_MOST = 0.99, 1.01
"""Of weights; GrowthBook takes others for equal ones."""


class Range(NamedTuple):
    """The places of one variation."""

    begins: int
    ends: int
    at: int
    """Which variation it is."""


def place_of(part: Part) -> int:
    """Return a share from 0 to 1 as a place; what is below or above is the nearest."""
    return round(min(max(part.number(), 0), 1) * PLACES)


def places_of(part: Part) -> tuple[int, int]:
    """Return a pair of shares as places; raises Unkept."""
    ends = part.items()
    if len(ends) != 2:
        raise Unkept(part.path, "a range has a beginning and an end")
    return place_of(ends[0]), place_of(ends[1])


def ranges_of(made: Made, rule: Part) -> list[Range]:
    """Return the ranges of a rule's variations that anybody stands in, in order."""
    count = len(rule.at("variations").items())
    if rule.at("ranges").value is not None:
        given = [places_of(one) for one in rule.at("ranges").items()]
        if len(given) != count:
            raise Unkept(rule.at("ranges").path, "there are more or fewer variations than ranges")
    else:
        given = _by_weight(made, rule, count)
    found = sorted(Range(*one, at) for at, one in enumerate(given) if one[0] < one[1])
    if any(one.ends > other.begins for one, other in pairwise(found)):
        raise Unkept(rule.at("ranges").path, "the ranges overlap")
    return found


def _by_weight(made: Made, rule: Part, count: int) -> list[tuple[int, int]]:
    covered = 1.0 if rule.at("coverage").value is None else place_of(rule.at("coverage")) / PLACES
    weights = [one.number() for one in rule.at("weights").items()]
    usual = len(weights) == count and min(weights) >= 0
    if not usual or not _SUM_LEAST <= sum(weights) <= _SUM_MOST:
        if weights:
            made.note(rule.at("weights").path, "they are no shares of one: equal, as GrowthBook's")
        weights = [1 / count] * count
    begins = [0.0, *accumulate(weights)][:-1]
    return [
        (round(min(begin, 1) * PLACES), round(min(begin + covered * weight, 1) * PLACES))
        for begin, weight in zip(begins, weights, strict=True)
    ]


def goes_on(rule: Part, at: int) -> bool:
    """Return whether those of a variation are asked by the next rule, as in a holdout."""
    meta = rule.at("meta").items()
    return at < len(meta) and meta[at].at("passthrough").truth(False)


def within_namespace(unit: JsonValue, namespace: Part) -> JsonValue:
    """Return the logic of the part of a namespace that an experiment has."""
    if namespace.value is None:
        return True
    parts = namespace.items()
    if len(parts) != 3:
        raise Unkept(namespace.path, "a namespace is a name with a beginning and an end")
    places = place_of(parts[1]), place_of(parts[2])
    return placed_within(f"namespace:{parts[0].text()}:", unit, [places])


def within_filters(made: Made, filters: list[Part]) -> JsonValue:
    """Return the logic of who stands in a range of each filter."""
    held: list[JsonValue] = []
    for part in filters:
        part.only(("seed", "ranges", "hashVersion", "attribute"))
        unit = read_attribute(made, part.at("attribute").text("id"), part.at("attribute"))
        ranges = sorted(places_of(one) for one in part.at("ranges").items())
        if any(one[1] > other[0] for one, other in pairwise(ranges)):
            raise Unkept(part.at("ranges").path, "the ranges overlap")
        held += [can_be_placed(unit), placed_within(part.at("seed").text(""), unit, ranges)]
    return every(held)
