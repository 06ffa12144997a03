"""What parts of a targeting become: small functions, the usual ones made to be quick."""

from collections.abc import Sequence

from axon.flags.coercion import loosely_same, to_number, truthy
from axon.flags.operators import Operator, follow, look_up, missing
from axon.flags.run import Rule, Run
from axon.flags.values import JsonValue


def constant(value: JsonValue) -> Rule:
    """Return the rule for a value that is written down."""
    return lambda scope, run: value


def new_list(items: Sequence[Rule]) -> Rule:
    """Return the rule for a list; a new one each time, because `==` asks which list it is."""
    return lambda scope, run: [item(scope, run) for item in items]


def copied(items: Sequence[JsonValue]) -> Rule:
    """Return the rule for a list of plain values that is written down; a new one each time."""

    def copy(scope: JsonValue, run: Run) -> JsonValue:
        made = list(items)
        run.go_through(made)
        return made

    return copy


def attribute(name: str) -> Rule:
    """Return the rule for what the context says under a name."""
    return lambda scope, run: run.data.get(name)


def attribute_path(steps: tuple[str, ...], default: Rule) -> Rule:
    """Return the rule for what the context says under a dotted path."""
    return lambda scope, run: follow(run.data, steps, default(scope, run))


def timestamp(scope: JsonValue, run: Run) -> JsonValue:
    """Return the instant of the evaluation in seconds since 1970."""
    return run.context.timestamp


def everything(flag_key: str) -> Rule:
    """Return the rule for all the context says."""
    return lambda scope, run: run.everything(flag_key)


def in_scope(scope: JsonValue, run: Run) -> JsonValue:
    """Return the item that a `map` or its like has come to."""
    return scope


def variable(data: Rule, arguments: Sequence[Rule]) -> Rule:
    """Return the rule for a `var` whose path is worked out, or that is read in an item."""

    def read(scope: JsonValue, run: Run) -> JsonValue:
        values = [argument(scope, run) for argument in arguments]
        key, default = [*values, None, None][:2]
        return look_up(data(scope, run), key, default, run)

    return read


def absent(data: Rule, arguments: Sequence[Rule]) -> Rule:
    """Return the rule for the keys that say nothing: `missing`."""

    def keys(scope: JsonValue, run: Run) -> JsonValue:
        values = [argument(scope, run) for argument in arguments]
        asked = values[0] if values and isinstance(values[0], list) else values
        return missing(data(scope, run), asked, run)

    return keys


def too_few(data: Rule, arguments: Sequence[Rule]) -> Rule:
    """Return the rule for the keys that say nothing, unless enough others do: `missing_some`."""

    def keys(scope: JsonValue, run: Run) -> JsonValue:
        needed, asked = (argument(scope, run) for argument in arguments)
        if not isinstance(asked, list):
            return []
        absent_keys = missing(data(scope, run), asked, run)
        return [] if len(asked) - len(absent_keys) >= to_number(needed) else absent_keys

    return keys


def chosen(arguments: Sequence[Rule]) -> Rule:
    """Return the rule for `if`: conditions, each with its result, and a result at the end."""
    pairs = list(zip(arguments[0::2], arguments[1::2], strict=False))
    last = arguments[-1] if len(arguments) % 2 else constant(None)
    if len(pairs) == 1:
        ((condition, result),) = pairs

        def choose_one(scope: JsonValue, run: Run) -> JsonValue:
            holds = condition(scope, run)
            if holds is True or (holds is not False and truthy(holds)):
                return result(scope, run)
            return last(scope, run)

        return choose_one

    def choose(scope: JsonValue, run: Run) -> JsonValue:
        for condition, result in pairs:
            if truthy(condition(scope, run)):
                return result(scope, run)
        return last(scope, run)

    return choose


def until(ends: bool, arguments: Sequence[Rule]) -> Rule:
    """Return the rule for `or` (ends at what holds) and `and` (at what does not)."""

    def ask(scope: JsonValue, run: Run) -> JsonValue:
        value: JsonValue = None
        for argument in arguments:
            value = argument(scope, run)
            if truthy(value) is ends:
                break
        return value

    return ask


def member(needle: Rule, listed: list[JsonValue]) -> Rule:
    """Return the rule for `in` a list of plain values that is written down."""
    known = frozenset(item for item in listed if not isinstance(item, list | dict))

    def found(scope: JsonValue, run: Run) -> JsonValue:
        value = needle(scope, run)
        try:
            return value in known
        except TypeError:  # a list or an object
            return False

    return found


def equals_text(value: Rule, text: str) -> Rule:
    """Return the rule for `==` with a text that is written down."""

    def same(scope: JsonValue, run: Run) -> JsonValue:
        found = value(scope, run)
        return found == text if isinstance(found, str) else loosely_same(found, text, run)

    return same


def applied(operator: Operator, arguments: Sequence[Rule]) -> Rule:
    """Return the rule for an operator that only looks at its values."""
    apply = operator.apply
    if len(arguments) == 2:
        one, other = arguments
        return lambda scope, run: apply([one(scope, run), other(scope, run)], run)
    return lambda scope, run: apply([argument(scope, run) for argument in arguments], run)
