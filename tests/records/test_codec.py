from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.records import KINDS, Record, SealedItem, UnknownRecord, decode, encode
from tests.records.examples import EXAMPLES, HEAD

_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(codec="utf-8"), max_size=30),
    int: st.integers(0, 2**63 - 1),
    bool: st.booleans(),
    bytes: st.binary(max_size=30),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return every value a field of this type may have."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if get_origin(kind) is list:
        return st.lists(values(get_args(kind)[0]), max_size=3)
    if get_origin(kind) is dict:
        key, value = get_args(kind)
        return st.dictionaries(values(key), values(value), max_size=3)
    assert issubclass(kind, msgspec.Struct)
    return st.builds(kind, **{name: values(hint) for name, hint in get_type_hints(kind).items()})


records: st.SearchStrategy[Record] = st.one_of([values(record) for record in KINDS.values()])


@given(records)
def test_every_record_reads_back_as_it_was(record: Record) -> None:
    kind, payload = encode(record)
    assert KINDS[kind] is type(record)
    assert decode(kind, payload) == record


def test_kind_0_stays_free_so_that_zeroed_disk_is_no_record() -> None:
    assert 0 not in KINDS
    with pytest.raises(UnknownRecord, match="kind 0"):
        decode(0, bytes(100))


@pytest.mark.parametrize("kind", [-1, max(KINDS) + 1, 65535])
def test_a_kind_of_a_later_version_is_told(kind: int) -> None:
    with pytest.raises(UnknownRecord, match=f"kind {kind}"):
        decode(kind, b"\x90")


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=200))
def test_any_bytes_are_a_record_or_unknown(kind: int, payload: bytes) -> None:
    try:
        record = decode(kind, payload)
    except UnknownRecord:
        return
    assert type(record) is KINDS[kind]


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_a_payload_cut_short_is_unknown(kind: int, data: st.DataObject) -> None:
    _, payload = encode(EXAMPLES[kind])
    length = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(UnknownRecord):
        decode(kind, payload[:length])


def test_a_payload_of_another_kind_is_unknown() -> None:
    _, payload = encode(EXAMPLES[7])
    with pytest.raises(UnknownRecord, match="kind 1"):
        decode(1, payload)


def test_text_that_is_not_utf_8_is_unknown() -> None:
    _, payload = encode(EXAMPLES[7])
    with pytest.raises(UnknownRecord, match="kind 7"):
        decode(7, payload.replace(b"chg_35", b"chg_\xff\xfe"))


def test_nesting_without_end_is_unknown() -> None:
    _, payload = encode(EXAMPLES[7])
    one_field_more = bytes([payload[0] + 1]) + payload[1:] + b"\x91" * 100_000 + b"\xc0"
    with pytest.raises(UnknownRecord, match="kind 7"):
        decode(7, one_field_more)


@pytest.mark.parametrize("kind", KINDS)
def test_records_cannot_be_changed(kind: int) -> None:
    record = EXAMPLES[kind]
    with pytest.raises(AttributeError):
        setattr(record, record.__struct_fields__[0], None)


def test_the_text_of_a_record_shows_no_key_of_its_fields_on_disk() -> None:
    """Records are arrays: a field name costs nothing in the journal."""
    _, payload = encode(EXAMPLES[1])
    assert b"turn_id" not in payload
    assert HEAD.turn_id.encode() in payload
    assert not issubclass(SealedItem, dict)
