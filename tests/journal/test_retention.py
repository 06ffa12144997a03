from pathlib import Path

from axon.base import MICROS_PER_SECOND
from axon.journal.segments import list_segments, segment_path
from tests.journal.journals import SMALL, Opened

PAST_RETENTION_US = (SMALL.retention_s + 1) * MICROS_PER_SECOND


async def test_a_segment_goes_when_it_is_projected_and_old(tmp_path: Path) -> None:
    opened = Opened()
    journal = opened.open(tmp_path)
    for _ in range(3):
        await journal.append(1, bytes(198))
    torn = segment_path(tmp_path, 1).with_suffix(".120.torn")
    torn.touch()
    assert journal.retire(projected_through=3) == []  # young
    opened.clock.ahead_us = PAST_RETENTION_US
    assert journal.retire(projected_through=0) == []  # PostgreSQL needs it
    assert journal.retire(projected_through=1) == [segment_path(tmp_path, 1)]
    assert not torn.exists()
    assert [entry.sequence for entry in journal.read(1)] == [2, 3]
    assert journal.retire(projected_through=3) == [segment_path(tmp_path, 2)]
    assert list_segments(tmp_path) == [3]  # the last one stays, whatever its age
    await journal.append(1, b"next")
    await journal.close()
    journal = opened.open(tmp_path)
    assert (journal.recovery.first_sequence, journal.recovery.last_sequence) == (3, 4)
    await journal.close()


async def test_age_counts_from_when_the_next_segment_was_made(tmp_path: Path) -> None:
    opened = Opened()
    journal = opened.open(tmp_path)
    await journal.append(1, bytes(198))
    opened.clock.ahead_us = PAST_RETENTION_US
    await journal.append(1, bytes(198))
    assert journal.retire(projected_through=2) == []  # entry 1 may have been written just now
    opened.clock.ahead_us = 2 * PAST_RETENTION_US
    assert journal.retire(projected_through=2) == [segment_path(tmp_path, 1)]
    await journal.close()
    assert list_segments(tmp_path) == [2]


async def test_nothing_is_retired_behind_a_segment_that_stays(tmp_path: Path) -> None:
    opened = Opened()
    journal = opened.open(tmp_path)
    for _ in range(4):
        await journal.append(1, bytes(198))
    opened.clock.ahead_us = PAST_RETENTION_US
    assert journal.retire(projected_through=2) == [
        segment_path(tmp_path, 1),
        segment_path(tmp_path, 2),
    ]
    assert list_segments(tmp_path) == [3, 4]
    await journal.close()
