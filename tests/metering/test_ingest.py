"""Events are durable with one flush, all of a request or none, and late by the calendar."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from axon.journal import DiskLow, EntryTooLarge, JournalFull
from axon.metering import EVENTS_MAX, BatchTooLarge, ClosingPolicy, EventWrong
from axon.records import SubjectErased, encode
from tests.metering.events_scene import Taking
from tests.metering.scene import ORG


class SetClock:
    """Stands still where it is set."""

    def __init__(self, at: str) -> None:
        self.at = at

    def now_us(self) -> int:
        return int(datetime.fromisoformat(self.at).timestamp()) * 1_000_000

    def monotonic(self) -> float:
        return 0.0


def sent(event_id: str, **changes: Any) -> dict[str, Any]:
    usual = {"specversion": "1.0", "source": "svc", "type": "prompt", "subject": "a"}
    return {**usual, "id": event_id, "data": {"tokens": 1}, **changes}


async def test_a_batch_is_one_entry_and_durable_when_taken(tmp_path: Path) -> None:
    taking = Taking(tmp_path, SetClock("2026-11-22T12:00:00+00:00"))
    await taking.take([sent(f"{number}") for number in range(EVENTS_MAX)])
    assert taking.journal.durable_through == 1
    (batch,) = taking.batches()
    assert [event.id for event in batch.events] == [f"{number}" for number in range(EVENTS_MAX)]
    assert batch.received_us == SetClock("2026-11-22T12:00:00+00:00").now_us()
    with pytest.raises(BatchTooLarge):
        await taking.take([sent(f"{number}") for number in range(EVENTS_MAX + 1)])
    await taking.take([])
    assert taking.journal.durable_through == 1
    await taking.journal.close()


async def test_of_a_batch_with_a_wrong_event_nothing_is_kept(tmp_path: Path) -> None:
    taking = Taking(tmp_path, SetClock("2026-11-22T12:00:00+00:00"))
    events = [sent(f"{number}") for number in range(300)]
    events[299]["data"] = {"tokens": "many"}
    with pytest.raises(EventWrong) as caught:
        await taking.take(events)
    assert (caught.value.index, caught.value.member) == (299, "data.tokens")
    with pytest.raises(msgspec.DecodeError):
        await taking.ingest.take_batch(None, b'{"not": "a list"}')  # type: ignore[arg-type]
    assert taking.batches() == []
    await taking.journal.close()


async def test_other_work_has_its_turn_while_a_large_batch_is_read(tmp_path: Path) -> None:
    taking = Taking(tmp_path, SetClock("2026-11-22T12:00:00+00:00"))
    reading = asyncio.ensure_future(taking.take([sent(f"{number}") for number in range(2000)]))
    turns = 0
    while taking.journal.durable_through == 0:
        await asyncio.sleep(0)
        turns += 1
    await reading
    assert turns > 10
    await taking.journal.close()


@pytest.mark.failure("journal-disk", "slow")
async def test_a_full_journal_takes_nothing(tmp_path: Path) -> None:
    """As for turns: refused at half of the queue, so that accepted turns can end."""
    taking = Taking(tmp_path, SetClock("2026-11-22T12:00:00+00:00"), queue_entries_max=2)
    other = SubjectErased("chg_1", ORG, 7, "key_1", 0, "")
    first = taking.journal.append(*encode(other))
    with pytest.raises(JournalFull):
        await taking.take([sent("1")])
    await first
    await taking.take([sent("2")])
    assert [event.id for batch in taking.batches() for event in batch.events] == ["2"]
    await taking.journal.close()


async def test_a_batch_that_no_entry_holds_is_refused_whole(tmp_path: Path) -> None:
    taking = Taking(tmp_path, SetClock("2026-11-22T12:00:00+00:00"), entry_bytes_max=65536)
    with pytest.raises(EntryTooLarge):
        await taking.take(
            [sent(f"{number}", data={"tokens": 1, "x": "y" * 700}) for number in range(99)]
        )
    assert taking.batches() == []
    await taking.journal.close()


LATE = [
    # The organization's zone, now, when it happened, and whether its month is closed, which it is
    # three days after its end.
    ("UTC", "2026-04-03T23:59:59", "2026-03-31T23:59:59", False),
    ("UTC", "2026-04-04T00:00:00", "2026-03-31T23:59:59", True),
    ("UTC", "2026-04-04T00:00:00", "2026-04-01T00:00:00", False),
    ("UTC", "2028-03-04T00:00:00", "2028-02-29T23:59:59", True),  # a leap day
    ("Pacific/Kiritimati", "2026-04-03T09:59:59", "2026-03-31T09:59:59", False),  # +14
    ("Pacific/Kiritimati", "2026-04-03T10:00:00", "2026-03-31T09:59:59", True),
    ("Etc/GMT+12", "2026-04-04T11:59:59", "2026-04-01T11:59:59", False),  # -12
    ("Etc/GMT+12", "2026-04-04T12:00:00", "2026-04-01T11:59:59", True),
    ("Europe/Madrid", "2026-03-31T22:00:00", "2026-02-28T22:59:59", True),
    ("Europe/Madrid", "2026-04-03T21:59:59", "2026-03-31T21:59:59", False),  # clocks went forward
    ("Europe/Madrid", "2026-04-03T22:00:00", "2026-03-31T21:59:59", True),
    ("Europe/Madrid", "2026-11-03T22:59:59", "2026-10-31T22:59:59", False),  # and back
    ("Europe/Madrid", "2026-11-03T23:00:00", "2026-10-31T22:59:59", True),
]


@pytest.mark.parametrize(("zone", "now", "happened", "late"), LATE)
async def test_an_event_is_late_once_its_month_is_closed(
    tmp_path: Path, zone: str, now: str, happened: str, late: bool
) -> None:
    taking = Taking(tmp_path, SetClock(f"{now}+00:00"))
    await taking.take([sent("1", time=f"{happened}Z"), sent("2")], zone)
    (batch,) = taking.batches()
    assert [event.late for event in batch.events] == [late, False]
    await taking.journal.close()


async def test_late_events_are_refused_where_the_policy_says_so(tmp_path: Path) -> None:
    policy = ClosingPolicy(closed_after_days=0, late_events="refuse")
    taking = Taking(tmp_path, SetClock("2026-04-01T00:00:00+00:00"), policy=policy)
    with pytest.raises(EventWrong) as caught:
        await taking.take([sent("1"), sent("2", time="2026-03-31T23:59:59Z")])
    assert (caught.value.index, caught.value.member) == (1, "time")
    await taking.take([sent("1"), sent("2", time="2026-04-01T00:00:00Z")])
    assert len(taking.batches()) == 1
    await taking.journal.close()


@pytest.mark.failure("journal-disk", "full")
async def test_low_space_refuses_events(tmp_path: Path) -> None:
    taking = Taking(tmp_path, SetClock("2026-04-01T00:00:00+00:00"))
    await taking.journal.close()
    low = Taking(tmp_path, SetClock("2026-04-01T00:00:00+00:00"), low_water_bytes=2**62)
    with pytest.raises(DiskLow):
        await low.take([sent("1")])
    assert low.batches() == []
    await low.journal.close()
