"""GrowthBook's conditions, which are MongoDB's, as logic."""

from collections.abc import Callable
from typing import ClassVar

import msgspec

from axon.app.flag_import.made import PERSON, Made, either, every, negated
from axon.app.flag_import.part import Part, Unkept
from axon.flags import JsonValue

DEPTH_MAX = 16
"""Of conditions in conditions: each becomes some levels of the 64 that logic may have."""

_ORDERS = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_VERSIONS = {
    "$veq": "=", "$vne": "!=", "$vlt": "<", "$vlte": "<=", "$vgt": ">", "$vgte": ">=",
}  # fmt: skip

Groups = Part
"""The saved groups of a document, by id."""


def read_attribute(made: Made, name: str, part: Part) -> JsonValue:
    """Return the logic that reads an attribute; dots lead into objects, as in GrowthBook."""
    return made.read(PERSON if name == "id" else name, part)


def can_be_placed(unit: JsonValue) -> JsonValue:
    """Return the logic of who has a unit that GrowthBook places: a text, or a number.

    The targeting key is a text wherever there is one.
    """
    if unit == {"var": PERSON}:
        return True
    return {"or": [{"===": [{"cat": [unit]}, unit]}, {"===": [{"+": [unit]}, unit]}]}


def condition(made: Made, part: Part, groups: Groups, depth: int = 0) -> JsonValue:
    """Return the logic of a condition; raises Unkept."""
    if depth > DEPTH_MAX:
        raise Unkept(part.path, f"more than {DEPTH_MAX} conditions in each other")
    found: list[JsonValue] = []
    for name, given in part.members():
        if name in ("$or", "$nor"):
            each = [condition(made, one, groups, depth + 1) for one in given.items()]
            any_of = either(each) if each else True
            found.append(any_of if name == "$or" else negated(any_of))
        elif name == "$and":
            found += [condition(made, one, groups, depth + 1) for one in given.items()]
        elif name == "$not":
            found.append(negated(condition(made, given, groups, depth + 1)))
        elif name.startswith("$"):
            raise Unkept(given.path, f"there is no rule for {name}")
        else:
            value = read_attribute(made, name, given)
            found.append(_Compared(made, value, groups).to(given, depth))
    return every(found)


class _Compared:
    """What one attribute is compared with."""

    def __init__(self, made: Made, value: JsonValue, groups: Groups) -> None:
        """`value` is the logic that reads the attribute."""
        self._made, self._value, self._groups = made, value, groups

    def to(self, part: Part, depth: int) -> JsonValue:
        """Return the logic of operators, all of which hold, or of a plain value."""
        if depth > DEPTH_MAX:
            raise Unkept(part.path, f"more than {DEPTH_MAX} conditions in each other")
        if not _asks(part):
            return self._same(part)
        return every([self._operator(name, given, depth) for name, given in part.members()])

    def _operator(self, name: str, part: Part, depth: int) -> JsonValue:
        if name in _ORDERS:
            return self._ordered(_ORDERS[name], part)
        if name in _VERSIONS:
            return self._version(_VERSIONS[name], part)
        if name == "$not":
            return negated(self.to(part, depth + 1))
        read = self._OPERATORS.get(name)
        if read is None:
            raise Unkept(part.path, f"there is no rule for {name}")
        return read(self, part)

    def _same(self, part: Part) -> JsonValue:
        if isinstance(part.value, list | dict):
            raise Unkept(part.path, "rules compare with no lists and objects")
        return {"===": [self._value, part.value]}

    def _other(self, part: Part) -> JsonValue:
        return negated(self._same(part))

    def _in(self, part: Part) -> JsonValue:
        return self._among([self._plain(one) for one in part.items()])

    def _not_in(self, part: Part) -> JsonValue:
        return negated(self._in(part))

    def _plain(self, part: Part) -> JsonValue:
        if isinstance(part.value, list | dict):
            raise Unkept(part.path, "rules look for no lists and objects")
        return part.value

    def _among(self, listed: list[JsonValue]) -> JsonValue:
        """Return the logic of an attribute in a list; of one that is a list, any of its items."""
        member: JsonValue = {"in": [self._value, listed]}
        if self._value == {"var": PERSON}:
            return member
        return {"or": [member, {"some": [self._value, {"in": [{"var": ""}, listed]}]}]}

    def _all(self, part: Part) -> JsonValue:
        """Return the logic of a list that holds all of them."""
        each: list[JsonValue] = [
            {"some": [self._value, {"===": [{"var": ""}, self._plain(one)]}]}
            for one in part.items()
        ]
        if not each:
            raise Unkept(part.path, "an empty list")
        return every(each)

    def _exists(self, part: Part) -> JsonValue:
        return {"!==" if part.truth(False) else "===": [self._value, None]}

    def _group(self, part: Part) -> JsonValue:
        listed = self._groups.at(part.text())
        if not isinstance(listed.value, list):
            raise Unkept(part.path, f"the file has no list of the group {part.text()}")
        return self._among([self._plain(one) for one in listed.items()])

    def _not_group(self, part: Part) -> JsonValue:
        return negated(self._group(part))

    def _ordered(self, operator: str, part: Part) -> JsonValue:
        """Return the logic of an order, which GrowthBook knows between values of one kind."""
        if isinstance(part.value, bool) or not isinstance(part.value, int | float | str):
            raise Unkept(part.path, "only numbers and texts have an order")
        read: JsonValue = (
            {"cat": [self._value]} if isinstance(part.value, str) else {"+": [self._value]}
        )
        compared: JsonValue = {operator: [self._value, part.value]}
        return every([{"===": [read, self._value]}, compared])

    def _version(self, operator: str, part: Part) -> JsonValue:
        why = "versions that are not three numbers, or lead to one (1.0.0-rc.1), order otherwise"
        self._made.note(part.path, why)
        if operator == "!=":  # which also holds for what is no version
            return negated({"sem_ver": [self._value, "=", part.text()]})
        return {"sem_ver": [self._value, operator, part.text()]}

    _OPERATORS: ClassVar[dict[str, Callable[["_Compared", Part], JsonValue]]] = {
        "$eq": _same,
        "$ne": _other,
        "$in": _in,
        "$nin": _not_in,
        "$all": _all,
        "$exists": _exists,
        "$inGroup": _group,
        "$notInGroup": _not_group,
    }


def _asks(part: Part) -> bool:
    """Return whether it is operators, and not a value to be equal to."""
    return isinstance(part.value, dict) and all(name.startswith("$") for name in part.value)


def holds_for(part: Part, value: JsonValue) -> bool:
    """Return whether a condition holds for a value that is known; raises Unkept."""
    if not _asks(part):
        return _equal(part.value, value)
    held = True
    for name, given in part.members():
        if name in ("$eq", "$ne"):
            held = held and _equal(given.value, value) is (name == "$eq")
        elif name in ("$in", "$nin"):
            found = any(_equal(one.value, value) for one in given.items())
            held = held and found is (name == "$in")
        elif name == "$exists":
            held = held and given.truth(False) is (value is not None)
        else:
            raise Unkept(given.path, f"{name} about another flag cannot be required")
    return held


def _equal(one: JsonValue, other: JsonValue) -> bool:
    """Return whether they are equal, as JSON: 1 is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    encode = msgspec.json.Encoder(order="deterministic").encode
    return one == other or encode(one) == encode(other)
