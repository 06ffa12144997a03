"""The short ledger campaign: everything strikes once, and every book agrees; planted faults do not.

`make ledger` is the long one.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from axon.metering import PriceBook
from axon.records import TokenUsage
from tests.failures.ledger import TARIFFS, campaign_in
from tests.failures.ledger_books import Journal, Spent, compare, spent_of, sums_of
from tests.failures.ledger_chaos import TARGETS, Campaign
from tests.failures.ledger_engine import engine_book, told_otherwise
from tests.failures.ledger_load import Asked
from tests.metering.scene import End, ended

TURN = Spent("org_1", "USD", 10, 3, 1, 5, 2, 12345)
BOOK = {"a": TURN, "b": TURN._replace(nano=7), "c": TURN}


@pytest.mark.failure("scheduler", "down")
@pytest.mark.failure("kafka", "down")
# A stream that its client left may be collected in Stripe's thread while the loop closes it.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*aiter_raw:pytest.PytestUnraisableExceptionWarning"
)
def test_every_book_agrees_after_everything_died_once(tmp_path: Path) -> None:
    outcome = campaign_in(tmp_path, Campaign(minutes=0.1, seed=3, quiet_max_s=2.0))
    print(*outcome.table(), sep="\n")
    assert outcome.wrong == []
    assert [str(one) for one in outcome.differences if not one.whole] == []
    assert [one.lines for one in outcome.differences if not one.lines] == []
    assert set(outcome.strikes) == set(TARGETS)
    assert set(outcome.turns) >= {"completed", "cancelled", "failed"}


@pytest.mark.parametrize(
    "other",
    [
        {"a": TURN, "c": TURN},
        {**BOOK, "a-again": TURN},
        {**BOOK, "b": TURN},
        {**BOOK, "a": TURN._replace(nano=12344), "c": TURN._replace(nano=12346)},
        {**BOOK, "a": TURN._replace(cached=2)},
        {**BOOK, "a": TURN._replace(org_id="org_2")},
        {**BOOK, "a": TURN._replace(currency="CZK")},
        {},
    ],
    ids=["lost", "twice", "dearer", "even", "cached", "payer", "currency", "nothing"],
)
def test_a_book_that_differs_is_found(other: dict[str, Spent]) -> None:
    assert compare("same", BOOK, dict(BOOK)).whole
    assert not compare("other", BOOK, other).whole


def test_sums_are_found_to_differ_by_what_was_counted_twice() -> None:
    twice = sums_of({**BOOK, "a-again": TURN})
    found = compare("rollups", sums_of(BOOK), twice)
    assert found.off == {
        "input": 10, "cached": 3, "written": 1, "output": 5, "reasoning": 2, "nano": 12345,
        "turns": 1,
    }  # fmt: skip
    assert compare("Stripe", sums_of(BOOK), twice, ("nano",)).off == {"nano": 12345}


USAGE = TokenUsage(input_tokens=9, cached_tokens=2, output_tokens=4)


def turn(**changes: Any) -> End:
    """Return a turn's end that names the first run, unless told otherwise."""
    record = ended(str(changes.pop("turn_id", "turn_1")), PriceBook(()), usage=USAGE)
    return msgspec.structs.replace(record, upstream_id="chatcmpl-fake-1", **changes)


def run(**changes: Any) -> dict[str, Any]:
    """Return a run of the engine as its ledger has it."""
    usage = {
        "prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2},
    }  # fmt: skip
    message = {"role": "user", "content": "[[chunks:4]] please answer q-1-q"}
    body = {"stream": True, "messages": [message]}
    return {"number": 1, "body": body, "usage": usage, "pieces": 4, **changes}


def judged(records: list[End], runs: list[dict[str, Any]]) -> tuple[list[str], dict[str, Spent]]:
    """Return what is wrong with these turns of these runs, and the engine's side of them."""
    journal = Journal(ended={record.head.turn_id: record for record in records})
    book = engine_book(journal, runs, [], {"org_1": TARIFFS["acme"]})
    return book.wrong, book.turns


def test_the_engines_side_is_what_it_said_at_the_price_that_was_set() -> None:
    wrong, turns = judged([turn()], [run()])
    assert wrong == []
    assert turns["turn_1"] == Spent("org_1", "USD", 9, 2, 0, 4, 0, 41607)
    assert turns["turn_1"][2:7] == spent_of(turn())[2:7]


ESTIMATED = TokenUsage(input_tokens=9, output_tokens=400, estimated=True)


@pytest.mark.parametrize(
    ("records", "runs"),
    [
        ([turn()], []),
        ([turn()], [run(usage=None)]),
        ([turn(), turn(turn_id="turn_2")], [run()]),
        ([turn(usage=msgspec.structs.replace(USAGE, estimated=True))], [run()]),
        ([turn(usage=ESTIMATED)], [run(usage=None)]),
    ],
    ids=["no run", "said nothing", "one answer of two", "estimated for nothing", "invented"],
)
def test_what_no_engine_said_is_found(records: list[End], runs: list[dict[str, Any]]) -> None:
    assert judged(records, runs)[0]


@pytest.mark.parametrize("told", [(9, 5), (8, 4)])
def test_a_client_that_was_told_something_else_is_found(told: tuple[int, int]) -> None:
    journal = Journal(ended={"turn_1": turn()})
    asked = Asked(mark="q-1-q", manner="whole", turn_id="turn_1", told=(9, 4))
    assert told_otherwise(journal, [asked]) == []
    asked.told = told
    assert len(told_otherwise(journal, [asked])) == 1
    asked.turn_id = "turn_2"
    assert len(told_otherwise(Journal(open={"turn_3"}), [asked])) == 2
