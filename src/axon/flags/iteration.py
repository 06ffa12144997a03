"""JSONLogic's operators that ask a rule of every item of a list."""

from collections.abc import Callable

from axon.flags.coercion import check_items, truthy
from axon.flags.run import Rule, Run
from axon.flags.values import JsonValue

Iteration = Callable[[Rule, Rule, int], Rule]
"""Makes a rule of the list's rule, the items' rule and what asking that costs, in operations."""


def _each(items: list[JsonValue], inner: Rule, cost: int, run: Run) -> list[JsonValue]:
    results = []
    check_items(len(items))
    for item in items:
        run.spend(cost)
        results.append(inner(item, run))
    return results


def mapped(items: Rule, inner: Rule, cost: int) -> Rule:
    """Return the rule for what the inner rule makes of every item; nothing of no list."""

    def every(scope: JsonValue, run: Run) -> JsonValue:
        found = items(scope, run)
        return _each(found, inner, cost, run) if isinstance(found, list) else []

    return every


def filtered(items: Rule, inner: Rule, cost: int) -> Rule:
    """Return the rule for the items for which the inner rule holds."""

    def those(scope: JsonValue, run: Run) -> JsonValue:
        found = items(scope, run)
        if not isinstance(found, list):
            return []
        held = _each(found, inner, cost, run)
        return [item for item, holds in zip(found, held, strict=True) if truthy(holds)]

    return those


def _first(wanted: bool, if_found: bool, if_empty: bool) -> Iteration:
    """Return a question that ends at the first item for which the rule holds, or does not."""

    def question(items: Rule, inner: Rule, cost: int) -> Rule:
        def ask(scope: JsonValue, run: Run) -> JsonValue:
            found = items(scope, run)
            if not isinstance(found, list) or not found:
                return if_empty
            for item in found:
                run.spend(cost)
                if truthy(inner(item, run)) is wanted:
                    return if_found
            return not if_found

        return ask

    return question


def reduced(items: Rule, inner: Rule, cost: int, start: JsonValue) -> Rule:
    """Return the rule for what the inner rule makes of all items, one after the other."""

    def all_together(scope: JsonValue, run: Run) -> JsonValue:
        found = items(scope, run)
        result = start
        if isinstance(found, list):
            for item in found:
                run.spend(cost)
                result = inner({"accumulator": result, "current": item}, run)
        return result

    return all_together


ITERATIONS: dict[str, Iteration] = {
    "map": mapped,
    "filter": filtered,
    "all": _first(wanted=False, if_found=False, if_empty=False),  # nothing is all of nothing
    "some": _first(wanted=True, if_found=True, if_empty=False),
    "none": _first(wanted=True, if_found=False, if_empty=True),
}
