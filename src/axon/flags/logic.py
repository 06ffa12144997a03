"""JSONLogic compiled: a targeting becomes functions that call each other, made once."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from axon.flags import rules
from axon.flags.bucketing import WEIGHTS_MAX
from axon.flags.fractional import (
    Shares,
    Splitting,
    computed,
    fixed_by_key,
    fixed_shorthand,
    shares_of,
)
from axon.flags.iteration import ITERATIONS, reduced
from axon.flags.mistakes import ROOT, Mistakes, Path
from axon.flags.operators import OPERATORS
from axon.flags.run import Rule
from axon.flags.sem_ver import COMPARISONS, read_version
from axon.flags.values import JsonValue, variant_name

LOGIC_DEPTH_MAX = 64
"""How deep operations may stand in each other; each is a frame of Python's stack when asked."""

LOGIC_NODES_MAX = 2_000
"""Operations and values of one flag with all it refers to: references that refer to references
could otherwise stand for billions."""

LOGIC_NODES_IN_ALL_MAX = 200_000
"""Of all flags of a document: half a second's work for whoever reads it."""


class Spot(NamedTuple):
    """Where a part of the logic stands."""

    path: Path
    depth: int = 0
    at_root: bool = True
    """Whether `var` reads the context; in a `map` and its like it reads the item."""
    names_variant: bool = False
    """Whether the result is the flag's: a text here is a variant."""


class Call(NamedTuple):
    """An operation with what it is given."""

    name: str
    values: Sequence[JsonValue]
    spot: Spot
    bare: bool
    """One value may stand without a list."""

    def at(self, index: int, *, names_variant: bool = False) -> Spot:
        """Return where a value stands."""
        path = self.spot.path if self.bare else self.spot.path / index
        names = names_variant and self.spot.names_variant
        return Spot(path, self.spot.depth, self.spot.at_root, names)


class SharedRules:
    """What the flags of one document share while they are compiled."""

    def __init__(self, evaluators: Mapping[str, JsonValue], mistakes: Mistakes) -> None:
        """`evaluators` are the rules that flags refer to, by name."""
        self.evaluators = evaluators
        self.mistakes = mistakes
        self.nodes = 0

    def take(self, nodes: int) -> bool:
        """Count the nodes of a flag that is compiled already, if there is room for them."""
        if self.nodes + nodes > LOGIC_NODES_IN_ALL_MAX:
            return False
        self.nodes += nodes
        return True


Special: TypeAlias = "tuple[Callable[[Compiler, Call], Rule], int, int | None]"
"""How an operation is compiled, and how many values it takes."""


class Compiler:
    """Compiles the targeting of one flag, and tells of everything that is wrong with it."""

    def __init__(
        self, splitting: Splitting, variants: Mapping[str, JsonValue], shared: SharedRules
    ) -> None:
        """What `variants` a flag has is what its targeting may name."""
        self._splitting = splitting
        self._variants = variants
        self._shared = shared
        self.nodes = 0
        self._within: list[str] = []
        self.referred: dict[str, JsonValue] = {}
        """The shared rules it came to."""

    def compile(self, logic: JsonValue, spot: Spot) -> Rule:
        """Return the rule of a part of the logic; of what is wrong, one that says null."""
        if self._is_too_large(spot):
            return rules.constant(None)
        path, depth = spot.path, spot.depth + 1
        if isinstance(logic, list):
            if _plain(logic):  # however long: many name thousands of people
                return rules.copied(logic)
            items = enumerate(logic)
            return rules.new_list(
                [self.compile(item, Spot(path / at, depth, spot.at_root)) for at, item in items]
            )
        if not isinstance(logic, dict):
            return self._value(logic, spot)
        if len(logic) != 1:
            return self._wrong(spot, "an operation is an object with exactly one name")
        ((name, given),) = logic.items()
        here = Spot(path / name, depth, spot.at_root, spot.names_variant)
        if isinstance(given, list):
            return self._operation(Call(name, given, here, bare=False))
        return self._operation(Call(name, [given], here, bare=True))

    def _is_too_large(self, spot: Spot) -> bool:
        """Count one part more, and tell of the first that is too much."""
        self.nodes += 1
        self._shared.nodes += 1
        if self.nodes > LOGIC_NODES_MAX:
            if self.nodes == LOGIC_NODES_MAX + 1:
                self._wrong(spot, f"more than {LOGIC_NODES_MAX} operations and values")
            return True
        if self._shared.nodes > LOGIC_NODES_IN_ALL_MAX:
            self._wrong(spot, f"more than {LOGIC_NODES_IN_ALL_MAX} operations in all flags")
            return True
        if spot.depth > LOGIC_DEPTH_MAX:
            self._wrong(spot, f"more than {LOGIC_DEPTH_MAX} levels of operations")
            return True
        return False

    def _operation(self, call: Call) -> Rule:
        special = self._SPECIAL.get(call.name)
        if special is not None:
            compile_it, least, most = special
        elif call.name in OPERATORS:
            compile_it = Compiler._applied
            least, most = OPERATORS[call.name].least, OPERATORS[call.name].most
        else:
            return self._wrong(call.spot, "there is no such operation")
        if not least <= len(call.values) <= (len(call.values) if most is None else most):
            return self._wrong(call.spot, f"takes {_range(least, most)}, not {len(call.values)}")
        return compile_it(self, call)

    def _wrong(self, spot: Spot, message: str) -> Rule:
        self._shared.mistakes.add(spot.path, message)
        return rules.constant(None)

    def _value(self, value: JsonValue, spot: Spot) -> Rule:
        if spot.names_variant and value is not None:
            name = variant_name(value)
            if name not in self._variants:
                key = self._splitting.flag_key
                return self._wrong(spot, f'"{name}" is no variant of the flag "{key}"')
        return rules.constant(value)

    def _all(self, call: Call) -> list[Rule]:
        return [self.compile(value, call.at(index)) for index, value in enumerate(call.values)]

    def _applied(self, call: Call) -> Rule:
        if call.name == "sem_ver":
            self._check_versions(call)
        return rules.applied(OPERATORS[call.name], self._all(call))

    def _check_versions(self, call: Call) -> None:
        for index in (0, 2):
            value = call.values[index]
            if not isinstance(value, dict) and read_version(value) is None:
                self._wrong(call.at(index), "not a semantic version")
        asked = call.values[1]
        if not isinstance(asked, dict) and asked not in tuple(COMPARISONS):
            self._wrong(call.at(1), f"not one of {' '.join(COMPARISONS)}")

    def _equals(self, call: Call) -> Rule:
        one, other = self._all(call)
        left, right = call.values
        if isinstance(right, str):
            return rules.equals_text(one, right)
        if isinstance(left, str):
            return rules.equals_text(other, left)
        return rules.applied(OPERATORS["=="], [one, other])

    def _in(self, call: Call) -> Rule:
        listed = call.values[1]
        if isinstance(listed, list) and _plain(listed):
            return rules.member(self.compile(call.values[0], call.at(0)), listed)
        return rules.applied(OPERATORS["in"], self._all(call))

    def _if(self, call: Call) -> Rule:
        last = len(call.values) - 1
        return rules.chosen(
            [
                self.compile(value, call.at(index, names_variant=index % 2 == 1 or index == last))
                for index, value in enumerate(call.values)
            ]
        )

    def _and_or(self, call: Call) -> Rule:
        last = len(call.values) - 1
        arguments = [
            self.compile(value, call.at(index, names_variant=index == last))
            for index, value in enumerate(call.values)
        ]
        return rules.until(call.name == "or", arguments)

    def _data(self, call: Call) -> Rule:
        if call.spot.at_root:
            return rules.everything(self._splitting.flag_key)
        return rules.in_scope

    def _var(self, call: Call) -> Rule:
        arguments = self._all(call)
        key = call.values[0] if call.values else ""
        if not isinstance(key, str) or not call.spot.at_root:
            return rules.variable(self._data(call), arguments)
        steps = tuple(key.split("."))
        if steps == ("$flagd", "flagKey"):
            return rules.constant(self._splitting.flag_key)
        if steps == ("$flagd", "timestamp"):
            return rules.timestamp
        if steps[0] == "$flagd" and len(steps) > 1:
            return self._wrong(call.at(0), "$flagd says only flagKey and timestamp")
        if key in ("", "$flagd"):
            return rules.variable(self._data(call), arguments)
        if len(steps) == 1 and len(arguments) == 1:
            return rules.attribute(key)
        default = arguments[1] if len(arguments) > 1 else rules.constant(None)
        return rules.attribute_path(steps, default)

    def _missing(self, call: Call) -> Rule:
        make = rules.absent if call.name == "missing" else rules.too_few
        return make(self._data(call), self._all(call))

    def _iteration(self, call: Call) -> Rule:
        items = self.compile(call.values[0], call.at(0))
        before = self.nodes
        inner = self.compile(call.values[1], call.at(1)._replace(at_root=False))
        cost = 1 + self.nodes - before
        if call.name != "reduce":
            return ITERATIONS[call.name](items, inner, cost)
        start = call.values[2] if len(call.values) > 2 else None  # never worked out, in any core
        return reduced(items, inner, cost, start)

    def _fractional(self, call: Call) -> Rule:
        shorthand = isinstance(call.values[0], list)
        parts = range(0 if shorthand else 1, len(call.values))
        if not parts:
            return self._wrong(call.spot, "a split needs variants")
        arguments = [] if shorthand else [self.compile(call.values[0], call.at(0))]
        arguments += [self._part(call.values[index], call, index) for index in parts]
        shares = self._written_shares([call.values[index] for index in parts], call)
        if shares is None or not call.spot.at_root:
            return computed(self._splitting, arguments, at_root=call.spot.at_root)
        if shorthand:
            return fixed_shorthand(self._splitting, shares)
        return fixed_by_key(self._splitting, arguments, shares)

    def _part(self, part: JsonValue, call: Call, index: int) -> Rule:
        """Return the rule of a variant with its weight."""
        spot = call.at(index)
        if isinstance(part, dict):
            return self.compile(part, spot)
        if not isinstance(part, list) or not 1 <= len(part) <= 2:
            return self._wrong(spot, "a variant stands in a list, alone or with its weight")
        names = spot._replace(path=spot.path / 0, names_variant=call.spot.names_variant)
        compiled = [self.compile(part[0], names)]
        if len(part) == 2:
            weight = spot._replace(path=spot.path / 1)
            if not isinstance(part[1], dict) and not _is_weight(part[1]):
                self._wrong(weight, "a weight is a whole number of at least 0")
            compiled.append(self.compile(part[1], weight))
        return rules.new_list(compiled)

    def _written_shares(self, parts: Sequence[JsonValue], call: Call) -> Shares | None:
        """Return variants and weights if all are written down."""
        written = [part for part in parts if isinstance(part, list) and part and _plain(part)]
        if len(written) < len(parts):
            return None
        weights = [part[1] if len(part) > 1 else 1 for part in written]
        whole = [weight for weight in weights if isinstance(weight, int) and _is_weight(weight)]
        if len(whole) == len(weights) and not 0 < sum(whole) <= WEIGHTS_MAX:
            self._wrong(call.spot, f"the weights add up to {sum(whole)}, not 1 to {WEIGHTS_MAX}")
        return shares_of([part[0] for part in written], whole)

    def _reference(self, call: Call) -> Rule:
        name = call.values[0]
        if not call.bare or not isinstance(name, str):
            return self._wrong(call.spot, "the name of a shared rule is a text")
        if name not in self._shared.evaluators:
            return self._wrong(call.spot, f'there is no shared rule "{name}"')
        if name in self._within:
            return self._wrong(call.spot, f'the shared rule "{name}" comes back to itself')
        self.referred[name] = self._shared.evaluators[name]
        self._within.append(name)
        rule = self.compile(
            self._shared.evaluators[name], call.spot._replace(path=evaluator_path(name))
        )
        self._within.pop()
        return rule

    _SPECIAL: ClassVar[dict[str, Special]] = {
        "$ref": (_reference, 1, 1),
        "==": (_equals, 2, 2),
        "in": (_in, 2, 2),
        "if": (_if, 1, None),
        "?:": (_if, 1, None),
        "and": (_and_or, 1, None),
        "or": (_and_or, 1, None),
        "var": (_var, 0, 2),
        "missing": (_missing, 0, None),
        "missing_some": (_missing, 2, 2),
        "map": (_iteration, 2, 2),
        "filter": (_iteration, 2, 2),
        "all": (_iteration, 2, 2),
        "some": (_iteration, 2, 2),
        "none": (_iteration, 2, 2),
        "reduce": (_iteration, 2, 3),
        "fractional": (_fractional, 1, None),
    }


def evaluator_path(name: str) -> Path:
    """Return where a shared rule stands."""
    return ROOT / "$evaluators" / name


def _plain(items: Sequence[JsonValue]) -> bool:
    return not any(isinstance(item, list | dict) for item in items)


def _is_weight(value: JsonValue) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _range(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} values"
    return f"{least} values" if least == most else f"{least} to {most} values"
