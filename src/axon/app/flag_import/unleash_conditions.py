"""Unleash's constraints and segments as logic."""

from datetime import UTC, datetime

from axon.app.flag_import.made import PERSON, Made, either, every, negated
from axon.app.flag_import.part import Part, Unkept
from axon.flags import JsonValue

_TEXTS = {"STR_STARTS_WITH": "starts_with", "STR_ENDS_WITH": "ends_with", "STR_CONTAINS": "in"}
_NUMBERS = {"NUM_EQ": "==", "NUM_GT": ">", "NUM_GTE": ">=", "NUM_LT": "<", "NUM_LTE": "<="}
_VERSIONS = {"SEMVER_EQ": "=", "SEMVER_GT": ">", "SEMVER_LT": "<"}
_DATES = {"DATE_AFTER": ">=", "DATE_BEFORE": "<"}
_MEMBERS = ("contextName", "operator", "values", "value", "inverted", "caseInsensitive")

RULE_PREFIX = "unleash-segment-"
"""Begins the names of the shared rules that segments become."""


def read_unit(made: Made, name: str, part: Part) -> JsonValue:
    """Return the logic that reads a field of Unleash's context."""
    if "." in name:
        raise Unkept(part.path, f'"{name}" would be read as a member of something')
    if name == "currentTime":
        raise Unkept(part.path, "the time can only be compared with an instant")
    return made.read(PERSON if name == "userId" else name, part)


class Segments:
    """The segments of a document; each becomes a shared rule when a flag asks for it."""

    def __init__(self, segments: list[Part]) -> None:
        """Raises Unkept for one without an id."""
        self._segments = {str(one.at("id").value): one for one in segments}
        self.rules: dict[str, JsonValue] = {}
        """Those that were asked for, by name."""

    def condition(self, made: Made, part: Part) -> JsonValue:
        """Return the logic of a segment that a strategy names by its id; raises Unkept."""
        segment = self._segments.get(str(part.value))
        if segment is None or segment.at("constraints").value is None:
            why = (
                f"the file does not say who is in segment {part.value}: exports do not, what "
                "clients read from /api/client/features does"
            )
            raise Unkept(part.path, why)
        rule = every([condition(made, one) for one in segment.at("constraints").items()])
        if isinstance(rule, bool):
            return rule
        name = f"{RULE_PREFIX}{part.value}"
        self.rules[name] = rule
        made.rules.add(name)
        return {"$ref": name}


def condition(made: Made, part: Part) -> JsonValue:
    """Return the logic of a constraint; raises Unkept."""
    part.only(_MEMBERS)
    found = _plain(made, part)
    return negated(found) if part.at("inverted").truth(False) else found


def _plain(made: Made, part: Part) -> JsonValue:
    operator, field = part.at("operator").text(), part.at("contextName")
    if operator in _DATES:
        return _compared_time(part, field.text(), operator)
    value = read_unit(made, field.text(), field)
    if operator in ("IN", "NOT_IN"):
        _note_people(made, field)
        listed: list[JsonValue] = [*part.at("values").texts()]
        member: JsonValue = {"in": [value, listed]}
        return member if operator == "IN" else negated(member)
    if operator in _TEXTS:
        if part.at("caseInsensitive").truth(False):
            raise Unkept(part.at("caseInsensitive").path, "rules know no letters without case")
        name = _TEXTS[operator]
        texts = part.at("values").texts()
        if not texts:
            raise Unkept(part.at("values").path, "Unleash's clients disagree about an empty list")
        return either([{name: [one, value] if name == "in" else [value, one]} for one in texts])
    if operator in _NUMBERS:
        compared: JsonValue = {_NUMBERS[operator]: [value, part.at("value").number()]}
        return every([{"!==": [value, None]}, compared])
    if operator in _VERSIONS:
        made.note(
            part.path, "flagd takes 5 and v1.2 for versions too (5.0.0, 1.2.0), Unleash does not"
        )
        return {"sem_ver": [value, _VERSIONS[operator], part.at("value").text()]}
    raise Unkept(part.at("operator").path, f"there is no rule for {operator}")


def _note_people(made: Made, field: Part) -> None:
    if field.value == "userId":
        made.note(field.path, "it names people: who asks must name them so as targetingKey")


def _compared_time(part: Part, name: str, operator: str) -> JsonValue:
    """Return the logic that compares now, in whole seconds, with an instant."""
    if name != "currentTime":
        raise Unkept(part.at("contextName").path, "only currentTime is compared with an instant")
    value = part.at("value")
    try:
        instant = datetime.fromisoformat(value.text())
    except ValueError:
        raise Unkept(value.path, "not an instant") from None
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    if instant.microsecond:
        raise Unkept(value.path, "rules compare whole seconds")
    return {_DATES[operator]: [{"var": "$flagd.timestamp"}, int(instant.timestamp())]}
