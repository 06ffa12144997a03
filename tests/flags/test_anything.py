"""Whatever is said and whoever asks: a mistake with its place, or an answer; never an exception."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from axon.flags import DefinitionInvalid, EvaluationContext, FlagSet, read_definitions
from axon.flags.bucketing import BUCKETINGS
from axon.flags.coercion import LogicFailed
from axon.flags.fractional import Splitting
from axon.flags.logic import Compiler, SharedRules, Spot
from axon.flags.mistakes import ROOT, Mistakes
from axon.flags.run import Run
from axon.flags.values import DEFAULT, DISABLED, ERROR, ERROR_CODES, REASONS
from tests.flags.plain_logic import plain_result
from tests.flags.strategies import CONTEXTS, JSON, LOGIC, RULES, documents

# How long an example takes says nothing on a busy machine.
thorough = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def readable(document: bytes) -> FlagSet | None:
    try:
        return read_definitions(document)
    except DefinitionInvalid as invalid:
        mistakes = invalid.errors
    assert mistakes and all(path.startswith("$") and message for path, message in mistakes)
    return None


def check_answers(flags: FlagSet, context: EvaluationContext) -> None:
    for found in flags.evaluate_all(context):
        assert found.reason in REASONS
        assert (found.reason == ERROR) == (found.error_code in ERROR_CODES)
        assert bool(found.detail) == (found.reason in (ERROR, DISABLED))
        if found.variant is None:
            assert found.value is None and found.reason in (ERROR, DISABLED, DEFAULT)
        else:
            assert found.value == flags.flags[found.key].variants[found.variant]


@thorough
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(document: bytes) -> None:
    readable(document)


@thorough
@given(
    JSON,
    st.sampled_from(("state", "variants", "defaultVariant", "targeting", "metadata")),
    CONTEXTS,
)
def test_any_json_in_any_place_is_read_or_refused(
    value: Any, place: str, context: EvaluationContext
) -> None:
    right: dict[str, Any] = {"state": "ENABLED", "variants": {"on": 1}, "defaultVariant": "on"}
    flag = {**right, place: value}
    for document in (
        value,
        {"flags": value},
        {"flags": {"flag": flag}},
        {"flags": {}, "metadata": value},
    ):
        flags = readable(json.dumps(document).encode())
        if flags is not None:
            check_answers(flags, context)


@thorough
@given(documents(), CONTEXTS)
def test_any_logic_is_refused_or_answers(
    document: dict[str, Any], context: EvaluationContext
) -> None:
    flags = readable(json.dumps(document).encode())
    if flags is not None:
        check_answers(flags, context)


@thorough
@given(LOGIC, RULES, RULES, st.sampled_from(BUCKETINGS), CONTEXTS)
def test_compiled_logic_says_what_it_says_worked_out_part_by_part(
    logic: Any, one: Any, two: Any, bucketing: str, context: EvaluationContext
) -> None:
    shared = {"one": one, "two": two}
    splitting = Splitting("flag", bucketing, "user")
    mistakes = Mistakes()
    rule = Compiler(splitting, {}, SharedRules(shared, mistakes)).compile(logic, Spot(ROOT))
    assume(not mistakes)

    def compiled() -> object:
        return rule(context.data, Run(context=context, data=context.data))

    plain = partial(plain_result, splitting, shared, logic, context)
    assert said_by(compiled) == said_by(plain)


def said_by(work_out: Callable[[], object]) -> str:
    """Return the result, exactly, or how it failed."""
    try:
        return repr(work_out())
    except (LogicFailed, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return type(error).__name__
