from pathlib import Path

from axon.journal import Mark
from axon.turns.open_turns import OpenTurns
from tests.journal.journals import Opened


async def test_the_mark_is_never_above_an_open_turns_acceptance(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path / "journal")
    mark = Mark(tmp_path / "mark", writable=True)
    turns = OpenTurns(mark, journal)
    before = turns.begin()
    accepted = await journal.append(1, b"accepted")
    slow = turns.begin()
    quick = turns.begin()
    accepted_later = await journal.append(1, b"accepted while others ended")
    await journal.append(1, b"the end of the first")
    turns.end(before)
    turns.tell(None)
    assert accepted.sequence < mark.get() <= accepted_later.sequence
    turns.end(slow)
    turns.tell(None)
    assert mark.get() <= accepted_later.sequence, "the quick one may be the one accepted later"
    turns.end(quick)
    turns.tell(None)
    assert (mark.get(), len(turns)) == (journal.durable_through + 1, 0)
    await journal.close()
    mark.close()


async def test_what_the_process_before_left_open_comes_first(tmp_path: Path) -> None:
    journal = Opened().open(tmp_path / "journal")
    mark = Mark(tmp_path / "mark", writable=True)
    for number in range(9):
        await journal.append(1, b"%d" % number)
    turns = OpenTurns(mark, journal)
    tickets = [turns.begin(sequence) for sequence in (3, 5)]
    turns.begin()
    turns.end(tickets[0])
    turns.tell(None)
    assert mark.get() == 5
    turns.tell(4)
    assert mark.get() == 4, "a turn without a place is needed as well"
    turns.end(tickets[1])
    turns.tell(None)
    assert mark.get() == 10
    await journal.close()
    mark.close()
