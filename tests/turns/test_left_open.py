"""What a start reads back: lost places are passed over, what is newer is not."""

import pytest

from axon.journal import LOST_KIND, Entry, Location
from axon.records import KINDS, UnknownRecord
from axon.turns.left_open import read_back

NEWER = max(KINDS) + 1


def entry(kind: int) -> Entry:
    return Entry(1, 0, kind, b"", Location(1, 1, 0, 58))


def test_a_place_that_salvage_could_not_save_is_passed_over() -> None:
    assert read_back([entry(LOST_KIND)], lambda record, location: None) == []


def test_a_record_of_a_newer_version_is_refused() -> None:
    """An older process that passed over it would serve conversations that lack its turns."""
    with pytest.raises(UnknownRecord, match=f"kind {NEWER}"):
        read_back([entry(NEWER)], lambda record, location: None)
