"""What was written once can be read for ever."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from axon.records import KINDS, decode, encode
from tests.records.examples import EXAMPLES, GOLDEN, golden_files


def grown(old: Any, new: Any) -> bool:
    """Return whether `new` is `old` with nothing changed but fields added at ends of arrays."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) <= len(new) and all(
            grown(one, other) for one, other in zip(old, new, strict=False)
        )
    return bool(old == new)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_last_reads_the_same_for_ever(kind: int) -> None:
    record = decode(kind, golden_files(kind)[-1].read_bytes())
    assert record == EXAMPLES[kind]
    assert type(record) is KINDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_now_is_what_was_written_then(kind: int) -> None:
    """A field added with a default would still read the old file; only the bytes tell."""
    assert encode(EXAMPLES[kind]) == (kind, golden_files(kind)[-1].read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_only_ever_grew_at_its_end(kind: int) -> None:
    shapes = [msgspec.msgpack.decode(path.read_bytes()) for path in golden_files(kind)]
    for old, new in pairwise(shapes):
        assert grown(old, new)


@pytest.mark.parametrize("kind", KINDS)
def test_every_shape_that_was_ever_written_can_be_read(kind: int) -> None:
    for path in golden_files(kind):
        assert type(decode(kind, path.read_bytes())) is KINDS[kind]


def test_every_kind_has_a_golden_file_and_every_golden_file_a_kind() -> None:
    """A kind may become unused, but never unreadable: old journals and archives hold it."""
    known = {path for kind in KINDS for path in golden_files(kind)}
    assert set(GOLDEN.iterdir()) == known
    assert EXAMPLES.keys() == KINDS.keys()
