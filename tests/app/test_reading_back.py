"""How much of its journal a serving process reads again at its start."""

from pathlib import Path

import pytest

from axon.app.roles import reading_back
from axon.journal import inspect
from tests.journal.journals import Opened, write_entries


async def test_long_entries_are_read_back_by_their_bytes_and_not_by_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of outside events may be megabytes: thousands of them would take minutes."""
    await write_entries(tmp_path, [b"x" * 150] * 40)
    segments = inspect(tmp_path).segments
    assert len(segments) > 10
    journal = Opened().open(tmp_path)
    assert reading_back._retried_after(journal) == 40 - reading_back._RETRIED_ENTRIES
    monkeypatch.setattr(reading_back, "_RETRIED_BYTES", sum(one.bytes for one in segments[-3:]))
    assert reading_back._retried_after(journal) == segments[-3].first_sequence - 1
    monkeypatch.setattr(reading_back, "_RETRIED_ENTRIES", 2)
    assert reading_back._retried_after(journal) == 38
    await journal.close()
