"""What a whole experiment's sums are answered with."""

import msgspec
import pytest

from axon.statistics import (
    UNITS_MIN,
    Comparison,
    Metric,
    Moments,
    Question,
    QuestionWrong,
    Results,
    VariantResult,
    judge,
)
from axon.statistics.judging import LOOKS_MAX
from tests.statistics.example import CONTROL, DAY_US, QUESTION, SHORT, SMALL, STARTED_US, judged


@pytest.fixture(scope="module")
def results() -> Results:
    return judged(days=14)


def _row(results: Results, metric: str, variant: str) -> VariantResult:
    (found,) = (one for one in results.metrics if one.metric.name == metric)
    (row,) = (one for one in found.rows if one.variant == variant)
    return row


def _compared(results: Results, metric: str, variant: str) -> Comparison:
    comparison = _row(results, metric, variant).comparison
    assert comparison is not None
    return comparison


def test_every_effect_that_was_planted_is_found_and_no_other(results: Results) -> None:
    verdicts = {
        (one.metric.name, row.variant): row.comparison.verdict
        for one in results.metrics
        for row in one.rows
        if row.comparison is not None
    }
    assert verdicts == {
        ("cost", SHORT): "open",
        ("cost", SMALL): "better",
        ("thumbs", SHORT): "open",
        ("thumbs", SMALL): "worse",
        ("errors", SHORT): "open",
        ("errors", SMALL): "worse",
        ("tokens", SHORT): "better",
        ("tokens", SMALL): "better",
        ("first", SHORT): "open",
        ("first", SMALL): "better",
    }
    assert _compared(results, "errors", SMALL).harm
    assert not _compared(results, "errors", SHORT).harm
    assert results.metrics[0].rows[0].variant == CONTROL
    assert not results.sample_ratio.mismatch


def test_what_was_before_narrows_what_is_now(results: Results) -> None:
    assert _compared(results, "cost", SMALL).saved_variance > 0.5
    assert _compared(results, "thumbs", SMALL).saved_variance == 0


def test_each_purpose_is_corrected_in_its_own_way() -> None:
    # 100 units a side, 0 and 1: the same difference in each metric, so one p for all.
    metrics = tuple(
        Metric(name=f"{purpose}{number}", title="", purpose=purpose)
        for purpose in ("primary", "guardrail", "secondary")
        for number in (1, 2, 3)
    )
    question = msgspec.structs.replace(QUESTION, metrics=metrics, shares={CONTROL: 1, SHORT: 1})
    control, treated = Moments(units=100, x=50, xx=50), Moments(units=100, x=20, xx=20)
    sums = {metric.name: {CONTROL: control, SHORT: treated} for metric in metrics}
    found = judge(question, {CONTROL: 100, SHORT: 100}, sums, 1, None)
    p = _compared(found, "guardrail1", SHORT).anytime_p
    assert 0 < p < 1 / 3
    assert _compared(found, "guardrail1", SHORT).adjusted_p == p
    assert _compared(found, "primary1", SHORT).adjusted_p == pytest.approx(3 * p)
    assert _compared(found, "secondary1", SHORT).adjusted_p == pytest.approx(p)


def test_nothing_is_said_about_too_few() -> None:
    few = Moments(units=UNITS_MIN - 1, x=5, xx=5)
    enough = Moments(units=UNITS_MIN, x=50, xx=50)
    question = msgspec.structs.replace(QUESTION, metrics=(Metric(name="it", title="It"),))
    sums = {"it": {CONTROL: enough, SHORT: few, SMALL: enough}}
    found = judge(question, {CONTROL: 100}, sums, 1, None)
    assert _row(found, "it", SHORT).comparison is None
    assert _row(found, "it", SHORT).value == pytest.approx(5 / 99)
    assert _row(found, "it", SMALL).comparison is not None
    nobody = judge(question, {}, {}, 1, None)
    assert _row(nobody, "it", CONTROL).value is None


def test_results_are_kept_as_json_and_carried_on(results: Results) -> None:
    kept = msgspec.json.encode(results)
    assert msgspec.json.decode(kept, type=Results) == results
    course = results.metrics[0].course
    assert len({look.at_us for look in course}) > 40
    again = judge(results.question, {}, {}, results.calculated_us + DAY_US, results)
    assert again.metrics[0].course == course


def test_the_course_stays_within_its_bound_and_keeps_both_ends() -> None:
    metric = Metric(name="it", title="It")
    question = msgspec.structs.replace(QUESTION, metrics=(metric,), shares={CONTROL: 1, SHORT: 1})
    sums = {
        "it": {CONTROL: Moments(units=200, x=90, xx=90), SHORT: Moments(units=200, x=99, xx=99)}
    }
    found: Results | None = None
    for look in range(4 * LOOKS_MAX):
        found = judge(question, {}, sums, STARTED_US + look * DAY_US, found)
        assert len(found.metrics[0].course) <= LOOKS_MAX
    assert found is not None
    course = found.metrics[0].course
    assert course[0].at_us == STARTED_US
    assert course[-1].at_us == STARTED_US + (4 * LOOKS_MAX - 1) * DAY_US
    assert len(course) > LOOKS_MAX // 3


def test_who_looks_every_second_fills_no_course() -> None:
    found: Results | None = None
    sums = {"it": {CONTROL: Moments(units=200, x=90, xx=90), SHORT: Moments(units=200, x=9, xx=9)}}
    question = msgspec.structs.replace(QUESTION, metrics=(Metric(name="it", title="It"),))
    for second in range(1, 100):
        found = judge(question, {}, sums, STARTED_US + second * 1_000_000, found)
    assert found is not None
    assert len(found.metrics[0].course) <= 4
    assert found.metrics[0].course[-1].at_us == STARTED_US + 99 * 1_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"control": "nobody"},
        {"shares": {CONTROL: 1}},
        {"shares": {CONTROL: 1, SHORT: -1}},
        {"shares": {CONTROL: 0, SHORT: 0}},
        {"shares": {CONTROL: 1} | {str(one): 1 for one in range(32)}},
        {"alpha": 0.0},
        {"power": 1.0},
        {"planned_units": 0},
        {"metrics": (QUESTION.metrics[0], QUESTION.metrics[0])},
        {"metrics": tuple(Metric(name=str(one), title="") for one in range(65))},
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(wrong: dict[str, object]) -> None:
    question: Question = msgspec.structs.replace(QUESTION, **wrong)
    with pytest.raises(QuestionWrong):
        judge(question, {}, {}, 1, None)
