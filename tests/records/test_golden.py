import pytest

from axon.records import KINDS, decode, encode
from tests.records.examples import EXAMPLES, GOLDEN, golden_file


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_once_reads_the_same_for_ever(kind: int) -> None:
    record = decode(kind, golden_file(kind).read_bytes())
    assert record == EXAMPLES[kind]
    assert type(record) is KINDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_now_is_what_was_written_then(kind: int) -> None:
    """A field added with a default would still read the old file; only the bytes tell."""
    assert encode(EXAMPLES[kind]) == (kind, golden_file(kind).read_bytes())


def test_every_kind_has_a_golden_file_and_every_golden_file_a_kind() -> None:
    """A kind may become unused, but never unreadable: old journals and archives hold it."""
    assert {path.name for path in GOLDEN.iterdir()} == {f"{kind}.bin" for kind in KINDS}
    assert EXAMPLES.keys() == KINDS.keys()
