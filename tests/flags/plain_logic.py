"""JSONLogic worked out the plain way, part by part: what the compiled functions must agree with."""

from typing import Any

from axon.flags.coercion import Work, to_number, truthy
from axon.flags.fractional import Splitting, computed
from axon.flags.operators import OPERATORS, look_up, missing
from axon.flags.run import Run
from axon.flags.values import EvaluationContext


class Plain:
    """Works out the targeting of one flag in one context; raises as a rule may."""

    def __init__(
        self, splitting: Splitting, shared: dict[str, Any], context: EvaluationContext
    ) -> None:
        self._splitting = splitting
        self._shared = shared
        self._run = Run(context=context, data=context.data)
        self._all = self._run.everything(splitting.flag_key)

    def result(self, logic: Any) -> Any:
        return self._apply(logic, self._all, at_root=True)

    def _apply(self, logic: Any, data: Any, *, at_root: bool) -> Any:
        if isinstance(logic, list):
            return [self._apply(item, data, at_root=at_root) for item in logic]
        if not isinstance(logic, dict):
            return logic
        ((name, given),) = logic.items()
        if name == "$ref":
            return self._apply(self._shared[given], data, at_root=at_root)
        values = given if isinstance(given, list) else [given]
        if name in ("if", "?:"):
            return self._if(values, data, at_root)
        if name in ("and", "or"):
            value = None
            for part in values:
                value = self._apply(part, data, at_root=at_root)
                if truthy(value) is (name == "or"):
                    break
            return value
        if name in ("map", "filter", "reduce", "all", "some", "none"):
            return self._iterated(name, values, data, at_root)
        found = [self._apply(part, data, at_root=at_root) for part in values]
        return self._simple(name, found, data, at_root)

    def _if(self, values: list[Any], data: Any, at_root: bool) -> Any:
        while len(values) > 1:
            condition, result, *values = values
            if truthy(self._apply(condition, data, at_root=at_root)):
                return self._apply(result, data, at_root=at_root)
        return self._apply(values[0], data, at_root=at_root) if values else None

    def _iterated(self, name: str, values: list[Any], data: Any, at_root: bool) -> Any:
        items = self._apply(values[0], data, at_root=at_root)
        if name == "reduce":
            result = values[2] if len(values) > 2 else None
            for item in items if isinstance(items, list) else []:
                scope = {"accumulator": result, "current": item}
                result = self._apply(values[1], scope, at_root=False)
            return result
        found = items if isinstance(items, list) else []
        results = (self._apply(values[1], item, at_root=False) for item in found)
        if name == "map":
            return list(results)
        held = (truthy(result) for result in results)
        if name == "filter":
            return [item for item, holds in zip(found, held, strict=True) if holds]
        if name == "all":
            return bool(found) and all(held)
        return any(held) is (name == "some")

    def _simple(self, name: str, found: list[Any], data: Any, at_root: bool) -> Any:
        work = Work()
        if name == "var":
            key, default = [*found, None, None][:2]
            return look_up(data, key, default, work)
        if name == "missing":
            keys = found[0] if found and isinstance(found[0], list) else found
            return missing(data, keys, work)
        if name == "missing_some":
            return self._missing_some(found, data, work)
        if name == "fractional":
            rules = [lambda scope, run, value=value: value for value in found]
            return computed(self._splitting, rules, at_root=at_root)(data, self._run)
        return OPERATORS[name].apply(found, work)

    def _missing_some(self, found: list[Any], data: Any, work: Work) -> Any:
        needed, keys = found
        if not isinstance(keys, list):
            return []
        absent = missing(data, keys, work)
        return [] if len(keys) - len(absent) >= to_number(needed) else absent


def plain_result(
    splitting: Splitting, shared: dict[str, Any], logic: Any, context: EvaluationContext
) -> Any:
    """Return what a targeting says, before it is made a variant."""
    return Plain(splitting, shared, context).result(logic)
