"""The judge must see every kind of broken promise, or its silence means nothing."""

import dataclasses

import msgspec
import pytest

from tests.chaos.engine import answer, previous_of, question
from tests.chaos.ledger import Attempt
from tests.chaos.verdict import StoredItem, Verdict, judge

MARKS = ("a", "b", "c")


def text_of(mark: str) -> str:
    before = MARKS.index(mark) - 1
    return " ".join(answer(mark, MARKS[before] if before >= 0 else "none"))


ATTEMPTS = [
    Attempt(
        conversation="conv",
        mark=mark,
        sent_ns=10 * number,
        ended_ns=10 * number + 5,
        acknowledged=True,
        text=text_of(mark),
    )
    for number, mark in enumerate(MARKS)
]
ITEMS = [
    StoredItem(item_id=f"{author}-{mark}", author=author, text=text)
    for mark in MARKS
    for author, text in (("user", question(mark)), ("assistant", text_of(mark)))
]


def judged(items: list[StoredItem], attempts: list[Attempt] = ATTEMPTS) -> Verdict:
    return judge(attempts, {"conv": items})


def kinds(verdict: Verdict) -> set[str]:
    return {kind for kind, found in verdict.findings().items() if found}


def test_a_kept_promise_is_found_kept() -> None:
    verdict = judged(ITEMS)
    assert verdict.kept
    assert verdict.acknowledged == 3


def test_a_lost_turn_is_found() -> None:
    assert kinds(judged(ITEMS[:4])) == {"lost"}


def test_a_whole_conversation_lost_is_found() -> None:
    assert judge(ATTEMPTS, {}).lost == list(MARKS)


def test_a_turn_stored_twice_is_found() -> None:
    assert "duplicated" in kinds(judged([*ITEMS, *ITEMS[4:]]))


def test_a_turn_stored_twice_under_new_ids_is_found() -> None:
    again = [dataclasses.replace(item, item_id=f"new-{item.item_id}") for item in ITEMS[4:]]
    assert "duplicated" in kinds(judged([*ITEMS, *again]))


def test_a_question_without_its_answer_is_found() -> None:
    assert kinds(judged(ITEMS[:5])) == {"half-stored"}


def test_a_torn_answer_is_found() -> None:
    torn = dataclasses.replace(ITEMS[5], text=ITEMS[5].text[:20])
    assert kinds(judged([*ITEMS[:5], torn])) == {"half-stored"}


def test_a_torn_acknowledgement_is_found() -> None:
    torn = [*ATTEMPTS[:2], msgspec.structs.replace(ATTEMPTS[2], text="answer to:c")]
    assert kinds(judged(ITEMS, torn)) == {"half-stored"}


def test_turns_in_the_wrong_order_are_found() -> None:
    assert "order broken" in kinds(judged([*ITEMS[:2], *ITEMS[4:], *ITEMS[2:4]]))


def test_an_answer_that_did_not_see_the_turn_before_is_found() -> None:
    blind = " ".join(answer("c", "a"))
    attempts = [*ATTEMPTS[:2], msgspec.structs.replace(ATTEMPTS[2], text=blind)]
    items = [*ITEMS[:5], dataclasses.replace(ITEMS[5], text=blind)]
    assert kinds(judged(items, attempts)) == {"order broken"}


def test_an_answer_flagged_as_degraded_may_have_missed_the_history() -> None:
    blind = " ".join(answer("c", "none"))
    said_so = msgspec.structs.replace(ATTEMPTS[2], text=blind, degraded="history")
    items = [*ITEMS[:5], dataclasses.replace(ITEMS[5], text=blind)]
    assert judged(items, [*ATTEMPTS[:2], said_so]).kept


def test_an_unacknowledged_turn_may_be_there_or_not() -> None:
    unsure = msgspec.structs.replace(ATTEMPTS[2], acknowledged=False, text="")
    for items in (ITEMS, ITEMS[:4]):
        assert judged(items, [*ATTEMPTS[:2], unsure]).kept


def test_a_turn_that_never_ends_is_found() -> None:
    attempts = [*ATTEMPTS[:2], msgspec.structs.replace(ATTEMPTS[2], response_id="resp")]
    assert kinds(judge(attempts, {"conv": ITEMS}, {"resp": "in_progress"})) == {"never ended"}


def test_an_acknowledged_turn_that_changes_its_status_is_found() -> None:
    attempts = [*ATTEMPTS[:2], msgspec.structs.replace(ATTEMPTS[2], response_id="resp")]
    assert kinds(judge(attempts, {"conv": ITEMS}, {"resp": "incomplete"})) == {"half-stored"}
    assert judge(attempts, {"conv": ITEMS}, {"resp": "completed"}).kept


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_only_a_whole_answer_names_its_predecessor(cut: int) -> None:
    assert previous_of(text_of("b"), "b") == "a"
    assert previous_of(text_of("b")[:-cut], "b") is None
