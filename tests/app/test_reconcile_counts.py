"""What can be told of limits' counts when a journal no longer has all of a period."""

import pytest

from axon.app.reconcile.counts import Counts
from axon.app.reconcile.difference import Findings
from axon.metering import PriceBook
from axon.records import Hold
from tests.metering.scene import DAY_US, START_US, End, ended, price

BOOK = PriceBook([price()])
DAY = START_US - START_US % DAY_US
KEY = ("org_1", "each", DAY, "one")


def turn(turn_id: str, accepted_us: int = DAY + DAY_US // 2) -> End:
    holds = [Hold("each", "requests", "day", DAY, 1), Hold("now", "concurrent", "", 0, 1)]
    return ended(turn_id, BOOK, accepted_us=accepted_us, holds=holds)


def found(counted: dict[tuple[str, str, int, str], int], first_sequence: int, *turns: End) -> int:
    """Return how many differences are named."""
    findings = Findings()
    counts = Counts(findings, DAY + DAY_US)
    counts.begin("one", first_sequence)
    counts.note("one", turns)
    counts.compare(counted)
    return len(findings.differences)


@pytest.mark.parametrize(("counted", "differences"), [(2, 0), (1, 1), (3, 1)])
def test_of_a_whole_journal_every_difference_is_told(counted: int, differences: int) -> None:
    assert found({KEY: counted}, 1, turn("a"), turn("b"), turn("a")) == differences


@pytest.mark.parametrize(("counted", "differences"), [(2, 0), (1, 1), (3, 0)])
def test_of_a_period_whose_beginning_is_gone_only_too_little_is(
    counted: int, differences: int
) -> None:
    assert found({KEY: counted}, 900, turn("a"), turn("b")) == differences


def test_a_journal_that_goes_back_before_the_period_has_all_of_it() -> None:
    earlier = ended("early", BOOK, accepted_us=DAY - DAY_US // 2)
    assert found({KEY: 3}, 900, earlier, turn("a"), turn("b")) == 1
    assert found({KEY: 2}, 900, earlier, turn("a"), turn("b")) == 0
    assert found({KEY: 1}, 900, earlier) == 1


def test_what_may_have_been_forgotten_is_not_missed() -> None:
    findings = Findings()
    counts = Counts(findings, DAY + 3 * DAY_US)
    counts.begin("one", 1)
    assert counts.note("one", [turn("a")]) == []
    counts.compare({})
    assert not findings.differences
