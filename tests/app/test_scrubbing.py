"""A disk that loses what it once had is found, told, and forgiven once it was mended."""

from pathlib import Path

import pytest

from axon.app.roles.scrubbing import SCRUB_EVERY_S, Scrubbing
from axon.base import MICROS_PER_SECOND
from axon.journal import SystemDisk, closed_segments, salvage, write_cursor
from axon.telemetry import render_metrics
from tests.journal.journals import INSTANCE, SMALL, TurnedClock, write_entries

FAST = 1e12
"""Bytes a second: tests do not wait for a disk."""


async def journal_in(root: Path) -> Path:
    """Make a journal of a few segments; return one that is closed."""
    (root / INSTANCE).mkdir()
    await write_entries(root / INSTANCE, [bytes([number]) * 60 for number in range(12)])
    return list(closed_segments(root / INSTANCE))[1]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)


def is_well(scrubbing: Scrubbing) -> bool:
    return scrubbing.health.up


def gauge_of(name: str) -> float:
    lines = render_metrics().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


async def test_a_whole_disk_is_well_and_says_when_it_was_read(tmp_path: Path) -> None:
    path = await journal_in(tmp_path)
    before = gauge_of("axon_journal_scrubbed_bytes_total")
    clock = TurnedClock()
    scrubbing = Scrubbing(tmp_path, clock, FAST)
    await scrubbing.scrub_all()
    assert is_well(scrubbing)
    assert gauge_of("axon_journal_scrubbed_bytes_total") - before > path.stat().st_size
    finished_s = gauge_of("axon_journal_scrub_finished_timestamp_seconds")
    assert abs(finished_s - clock.now_us() / MICROS_PER_SECOND) < 60


@pytest.mark.failure("journal-disk", "corrupt")
async def test_a_flipped_bit_in_a_closed_segment_is_told(tmp_path: Path) -> None:
    path = await journal_in(tmp_path)
    flip(path)
    scrubbing = Scrubbing(tmp_path, TurnedClock(), FAST)
    await scrubbing.scrub_all()
    assert not is_well(scrubbing)
    assert scrubbing.health.reason.startswith("corrupt: ")
    assert path.name in scrubbing.health.reason
    assert "axon journal verify" in scrubbing.health.reason
    assert gauge_of("axon_journal_damaged_segments") == 1


async def test_damage_in_what_postgresql_has_loses_nothing_and_says_so(tmp_path: Path) -> None:
    path = await journal_in(tmp_path)
    flip(path)
    write_cursor(path.parent, 12)
    scrubbing = Scrubbing(tmp_path, TurnedClock(), FAST)
    await scrubbing.scrub_all()
    assert "nothing is lost" in scrubbing.health.reason


async def test_what_was_found_survives_the_process_and_a_salvage_mends_it(tmp_path: Path) -> None:
    path = await journal_in(tmp_path)
    flip(path)
    await Scrubbing(tmp_path, TurnedClock(), FAST).scrub_all()
    successor = Scrubbing(tmp_path, TurnedClock(), FAST)
    assert not is_well(successor)
    salvage(path.parent, SMALL.segment_bytes, SystemDisk(), TurnedClock())
    await successor.scrub_all()
    assert is_well(successor)
    assert is_well(Scrubbing(tmp_path, TurnedClock(), FAST))


async def test_a_round_is_due_once_a_day_and_after_a_clock_that_was_set_back(
    tmp_path: Path,
) -> None:
    await journal_in(tmp_path)
    clock = TurnedClock()
    scrubbing = Scrubbing(tmp_path, clock, FAST)
    assert scrubbing.is_due()
    await scrubbing.scrub_all()
    found = []
    for ahead_s in (0.0, SCRUB_EVERY_S, -3600.0):
        clock.ahead_us = int(ahead_s * MICROS_PER_SECOND)
        found += [scrubbing.is_due(), Scrubbing(tmp_path, clock, FAST).is_due()]
    assert found == [False, False, True, True, True, True]


async def test_a_torn_note_costs_only_a_round(tmp_path: Path) -> None:
    (tmp_path / "scrubbed.json").write_bytes(b'{"finished')
    assert Scrubbing(tmp_path, TurnedClock(), FAST).is_due()
