"""Unleash's strategies and variants as logic."""

from collections.abc import Callable

import msgspec

from axon.app.flag_import.made import (
    PERSON,
    PLACES,
    Made,
    chosen,
    every,
    placed_among,
    placed_within,
)
from axon.app.flag_import.part import Part, Unkept
from axon.app.flag_import.unleash_conditions import Segments, condition, read_unit
from axon.flags import JsonValue

_MEMBERS = ("name", "parameters", "constraints", "segments", "variants", "disabled")
_IGNORED = ("id", "title", "featureName", "environment", "projectId", "sortOrder", "milestoneId")
"""What decides nothing."""
_VARIANT_MEMBERS = ("name", "weight", "weightType", "payload", "stickiness", "overrides")
_WITHOUT_PERSON = {"var": "sessionId"}
_STICKY: JsonValue = {"if": [{"var": PERSON}, {"var": PERSON}, _WITHOUT_PERSON]}
"""Who is placed by what Unleash calls default."""


def strategy(made: Made, part: Part, segments: Segments) -> JsonValue:
    """Return the logic of whom a strategy is on for; raises Unkept."""
    part.only(_MEMBERS, _IGNORED)
    named = part.at("name")
    own = _STRATEGIES.get(named.text())
    if own is None:
        raise Unkept(named.path, f"the strategy {named.text()} has no rule that does the same")
    parameters = part.at("parameters")
    if parameters.value is None:
        parameters = Part(parameters.path, {})
    return every(
        [
            *(segments.condition(made, one) for one in part.at("segments").items()),
            *(condition(made, one) for one in part.at("constraints").items()),
            own(made, parameters),
        ]
    )


def _always(made: Made, parameters: Part) -> JsonValue:
    return True


def _people(made: Made, parameters: Part) -> JsonValue:
    ids = parameters.at("userIds")
    made.note(ids.path, "it names people: who asks must name them so as targetingKey")
    return {"in": [{"var": PERSON}, _listed(ids)]}


def _addresses(made: Made, parameters: Part) -> JsonValue:
    addresses = parameters.at("IPs")
    if any("/" in str(one) for one in _listed(addresses)):
        raise Unkept(addresses.path, "rules know no ranges of addresses")
    return {"in": [{"var": "remoteAddress"}, _listed(addresses)]}


def _listed(part: Part) -> list[JsonValue]:
    return [one.strip() for one in part.text("").split(",") if one.strip()]


def _gradual(stickiness: str) -> Callable[[Made, Part], JsonValue]:
    def share(made: Made, parameters: Part) -> JsonValue:
        parameters.at("groupId").text()  # without one, Unleash's clients are not of one mind
        return _share(made, parameters, parameters.at("percentage"), stickiness)

    return share


def _flexible(made: Made, parameters: Part) -> JsonValue:
    stickiness = parameters.at("stickiness").text("default")
    return _share(made, parameters, parameters.at("rollout"), stickiness)


def _share(made: Made, parameters: Part, percent: Part, stickiness: str) -> JsonValue:
    """Return the logic of a part of all units; the same group has the same places."""
    hundredths = Part(percent.path, percent.text()).number()
    if not isinstance(hundredths, int) or not 0 <= hundredths <= 100:
        raise Unkept(percent.path, "not a whole number from 0 to 100")
    if hundredths in (0, 100) and stickiness in ("default", "random"):
        return hundredths == 100
    unit = _unit(made, percent, stickiness, "is off")
    if 0 < hundredths < 100:
        made.placed_anew(percent.path)
    group = parameters.at("groupId").text(made.key)
    return placed_within(f"{group}:", unit, [(0, hundredths * PLACES // 100)])


def _unit(made: Made, part: Part, stickiness: str, without: str) -> JsonValue:
    """Return the logic that reads who is placed; `without` tells what becomes of others."""
    if stickiness == "random":
        raise Unkept(part.path, "it throws dice at each question; Axon's splits place somebody")
    if stickiness == "default":
        dice = "Unleash throws dice for them"
        made.note(part.path, f"who has neither targetingKey nor sessionId {without}; {dice}")
        return _STICKY
    return read_unit(made, stickiness, part)


_STRATEGIES: dict[str, Callable[[Made, Part], JsonValue]] = {
    "default": _always,
    "userWithId": _people,
    "remoteAddress": _addresses,
    "flexibleRollout": _flexible,
    "gradualRolloutUserId": _gradual("userId"),
    "gradualRolloutSessionId": _gradual("sessionId"),
    "gradualRolloutRandom": _gradual("random"),
}


def variants(made: Made, parts: list[Part], group: str) -> JsonValue:
    """Return the logic that names the variant of somebody, and give the flag those variants."""
    weights: dict[str, int] = {}
    overrides: list[tuple[JsonValue, JsonValue]] = []
    stickiness = parts[0].at("stickiness")
    for part in parts:
        part.only(_VARIANT_MEMBERS)
        name, weight = part.at("name").text(), part.at("weight").number()
        value = _value(part.at("payload"), name)
        if name in weights or made.variants.setdefault(name, value) != value:
            raise Unkept(part.at("name").path, f'there is another variant "{name}"')
        if not isinstance(weight, int) or weight < 0:
            raise Unkept(part.at("weight").path, "not a whole number of at least 0")
        if part.at("stickiness").text("default") != stickiness.text("default"):
            raise Unkept(part.at("stickiness").path, "the variants place people by different units")
        weights[name] = weight
        for override in part.at("overrides").items():
            field = override.at("contextName")
            unit = read_unit(made, field.text(), field)
            overrides.append(({"in": [unit, [*override.at("values").texts()]]}, name))
    if not any(weights.values()):
        raise Unkept(parts[0].at("weight").path, "the weights of the variants add up to nothing")
    if sum(1 for weight in weights.values() if weight) == 1:
        return chosen(overrides, placed_among("", None, [*weights.items()]))
    unit = _unit(made, stickiness, stickiness.text("default"), "gets no variant")
    made.placed_anew(stickiness.path)
    split = placed_among(f"variant:{group}:", unit, [*weights.items()])
    return chosen([*overrides, (unit, split)], None)


def _value(payload: Part, name: str) -> JsonValue:
    """Return what a variant says: its payload, else its name."""
    if payload.value is None:
        return name
    payload.only(("type", "value"))
    kind, text = payload.at("type").text(), payload.at("value")
    if kind in ("string", "csv"):
        return text.text()
    if kind == "number":
        return text.number()
    if kind != "json":
        raise Unkept(payload.at("type").path, f"payloads of the type {kind} are not known")
    try:
        found: JsonValue = msgspec.json.decode(text.text())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Unkept(text.path, "not JSON") from None
    if not isinstance(found, dict):
        raise Unkept(text.path, "a variant's value is an object, a text, a number or a boolean")
    return found
