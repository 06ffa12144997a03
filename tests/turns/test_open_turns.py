from pathlib import Path

from axon.journal import Mark
from axon.turns.open_turns import OpenTurns


def test_the_mark_is_never_above_an_open_turns_acceptance(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark", writable=True)
    turns = OpenTurns(mark, durable_through=10)
    first = turns.begin()  # accepted at 11
    slow = turns.begin()  # accepted at 15, when others have ended
    turns.end(first, 12, None)
    quick = turns.begin()  # accepted at 13, and ended at 14
    assert mark.get() == 11
    turns.end(quick, 14, None)
    assert (mark.get(), turns.count) == (11, 1)
    turns.end(slow, 16, None)
    assert (mark.get(), turns.count) == (17, 0)
    turns.end(turns.begin(), 18, None)
    assert mark.get() == 19
    mark.close()


def test_one_that_was_never_accepted_is_not_looked_for(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark", writable=True)
    turns = OpenTurns(mark, durable_through=10)
    refused, later = turns.begin(), turns.begin()
    turns.drop(refused)
    turns.end(later, 12, None)
    assert (mark.get(), turns.count) == (13, 0)
    mark.close()


def test_what_the_process_before_left_open_comes_first(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "mark", writable=True)
    turns = OpenTurns(mark, durable_through=9)
    oldest, older = [turns.begin(sequence) for sequence in (3, 5)]
    new = turns.begin()
    turns.end(oldest, 11, None)
    assert mark.get() == 5
    turns.end(new, 12, also_from=4)
    assert mark.get() == 4, "a turn without a place is needed as well"
    turns.end(older, 13, None)
    assert mark.get() == 14
    mark.close()
