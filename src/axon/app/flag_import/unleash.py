"""Unleash's features as flags: what clients read, and what the console exports."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from axon.app.flag_import.made import OFF, ON, Made, Parent, chosen, either
from axon.app.flag_import.part import Part, Unkept
from axon.app.flag_import.unleash_conditions import Segments
from axon.app.flag_import.unleash_strategies import strategy, variants
from axon.flags import JsonValue

REMARKS = (
    'Unleash takes everything in a context for a text: send texts, for rules know 5 from "5".',
    "userId becomes targetingKey; all other fields of a context keep their names.",
)

_MEMBERS = ("name", "enabled", "strategies", "variants", "dependencies", "description")
_IGNORED = (
    "type", "project", "stale", "impressionData", "createdAt", "lastSeenAt", "createdBy", "tags",
    "createdByUserId", "favorite", "archivedAt", "potentiallyStale", "environments", "children",
    "lifecycle", "id", "links",
)  # fmt: skip
"""What decides nothing."""


@dataclass(slots=True, kw_only=True)
class _Feature:
    """What a document says of one feature, wherever it stands in it."""

    part: Part
    enabled: Part
    strategies: list[Part] = field(default_factory=list)
    variants: list[Part] = field(default_factory=list)
    dependencies: list[Part] = field(default_factory=list)


def unleash_flags(document: Part) -> tuple[dict[str, Callable[[], Made]], dict[str, JsonValue]]:
    """Return by key what makes each flag, or raises Unkept, and the shared rules, which fill while
    flags are made. Raises Unkept for a document that is none of Unleash's."""
    segments = Segments(document.at("segments").items())
    exported = document.at("featureStrategies").value is not None
    features = _exported(document) if exported else _of_clients(document)
    makers: dict[str, Callable[[], Made]] = {}
    for one in features:
        key = one.part.at("name").text()
        if key in makers:
            raise Unkept(one.part.path, f'there is another feature "{key}"')
        makers[key] = partial(_made, key, one, segments)
    return makers, segments.rules


def _of_clients(document: Part) -> list[_Feature]:
    return [
        _Feature(
            part=one,
            enabled=one.at("enabled"),
            strategies=one.at("strategies").items(),
            variants=one.at("variants").items(),
            dependencies=one.at("dependencies").items(),
        )
        for one in document.at("features").items()
    ]


def _exported(document: Part) -> list[_Feature]:
    """Return the features of an export, whose strategies and states stand beside them."""
    found: dict[str, _Feature] = {}
    for one in document.at("features").items():
        nowhere = Part(document.at("featureEnvironments").path, None)
        found[one.at("name").text()] = _Feature(part=one, enabled=nowhere)
    for one in document.at("featureEnvironments").items():
        feature = _of(found, one.at("featureName"))
        if feature.enabled.value is not None:
            raise Unkept(one.path, "the file is of several environments; export one")
        feature.enabled = one.at("enabled")
        feature.variants = one.at("variants").items() or feature.part.at("variants").items()
    for one in sorted(document.at("featureStrategies").items(), key=_order):
        _of(found, one.at("featureName")).strategies.append(one)
    for one in document.at("dependencies").items():
        _of(found, one.at("feature")).dependencies += one.at("dependencies").items()
    return list(found.values())


def _of(features: dict[str, _Feature], name: Part) -> _Feature:
    if name.text() not in features:
        raise Unkept(name.path, f'there is no feature "{name.text()}" in the file')
    return features[name.text()]


def _order(strategy_part: Part) -> float:
    order = strategy_part.at("sortOrder")
    return 0 if order.value is None else order.number()


def _made(key: str, feature: _Feature, segments: Segments) -> Made:
    part = feature.part
    part.only(_MEMBERS, (*_IGNORED, "archived"))
    if part.at("archived").truth(False):
        raise Unkept(part.at("archived").path, "it is archived")
    if feature.enabled.value is None:
        raise Unkept(feature.enabled.path, f'nothing says whether "{key}" is on')
    made = Made(key=key, path=part.path, enabled=feature.enabled.truth(False))
    made.description = part.at("description").text("")
    if not made.enabled:
        made.note(feature.enabled.path, "who asks does without the flag, where Unleash says false")
    made.parents = [_parent(made, one) for one in feature.dependencies]
    used = [one for one in feature.strategies if not one.at("disabled").truth(False)]
    if feature.strategies and not used:
        raise Unkept(feature.strategies[0].path, "all strategies are disabled")
    conditions = [strategy(made, one, segments) for one in used]
    if feature.variants or any(one.at("variants").items() for one in used):
        _with_variants(made, feature, list(zip(conditions, used, strict=True)))
    else:
        _on_or_off(made, either(conditions or [True]))
    return made


def _on_or_off(made: Made, condition: JsonValue) -> None:
    made.variants = {ON: True, OFF: False}
    if isinstance(condition, bool):
        made.default = ON if condition else OFF
    else:
        made.default = OFF
        made.targeting = {"if": [condition, ON, OFF]}


def _with_variants(made: Made, feature: _Feature, strategies: list[tuple[JsonValue, Part]]) -> None:
    """Give the flag its variants: those of the strategy that is on first, or the feature's."""
    made.note(feature.part.path, "it has variants: ask for its value, not whether it is on")
    common = variants(made, feature.variants, made.key) if feature.variants else None
    branches: list[tuple[JsonValue, JsonValue]] = []
    for condition, part in strategies:
        own, parameters = part.at("variants").items(), part.at("parameters")
        if own and parameters.value is not None:
            group = parameters.at("groupId").text(made.key)
        else:
            group = made.key
        branches.append((condition, variants(made, own, group) if own else common))
    found = chosen(branches or [(True, common)], None)
    if isinstance(found, str):
        made.default = found
    else:
        made.targeting = found


def _parent(made: Made, part: Part) -> Parent:
    part.only(("feature", "enabled", "variants"))
    if not part.at("enabled").truth(True):
        raise Unkept(part.at("enabled").path, "a flag can require another one, not its absence")
    made.note(part.path, "without that flag, who asks does without this one; Unleash says false")
    names = tuple(part.at("variants").texts())
    return Parent(path=part.path, key=part.at("feature").text(), variants=names or None)
