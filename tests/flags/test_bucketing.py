"""Where people fall in a split: what is written here moves nobody, for ever."""

from collections import Counter
from typing import Any

import cbor2
import mmh3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.flags.bucketing import (
    CBOR_DEPTH_MAX,
    HASHES,
    canonical_cbor,
    hash_v2,
    hash_v3,
    share_of,
    shorthand_hash,
)
from axon.flags.coercion import LogicFailed, Work

# cbor2 with `canonical` is what flagd's v3 core hashes.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.sampled_from((0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1, -(2**64)))
    | st.floats(allow_nan=False).filter(lambda number: not number.is_integer())
    | st.sampled_from((float("inf"), float("-inf"), float("nan"), 1.5, 1e-8, 65504.5))
    | st.text(st.characters(codec="utf-8"), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=5)
    ),
    max_leaves=30,
)


@settings(deadline=None)
@given(VALUES)
def test_values_are_written_as_cbor2_writes_them(value: Any) -> None:
    assert canonical_cbor(value, Work()) == cbor2.dumps(value, canonical=True)


@pytest.mark.parametrize("size", [22, 23, 24, 255, 256, 70_000])
def test_texts_of_any_length_are_written_as_cbor2_writes_them(size: int) -> None:
    text = "é" * (size // 2) + "x" * (size % 2)
    assert canonical_cbor(text, Work()) == cbor2.dumps(text, canonical=True)
    pair = cbor2.dumps(["flag", text], canonical=True)
    assert shorthand_hash("v3", "flag")(text) == mmh3.hash(pair, 0, signed=False)


def test_floats_that_are_integers_hash_as_integers_while_they_fit() -> None:
    for number in (0.0, -0.0, 7.0, -(2.0**63), 2.0**63):
        assert hash_v3(number, Work()) == hash_v3(int(number), Work())
    assert hash_v3(2.0**65, Work()) != hash_v3(2**65, Work())


def test_hashes_are_what_they_were() -> None:
    work = Work()
    assert hash_v2("user-1", work) == 4_171_401_059
    assert hash_v3("user-1", work) == 1_431_628_768
    assert hash_v3({"b": 1, "aa": [1.5, None, True]}, work) == 1_274_417_229
    assert shorthand_hash("v2", "flag")("user-1") == 3_034_658_845
    assert shorthand_hash("v3", "flag")("user-1") == 1_204_790_219
    assert shorthand_hash("v3", "flag")("ü" * 40) == 4_110_333_291
    assert share_of("layer", "checkout", "user-1") == 2_848_682_761
    assert share_of("ramp", "checkout", "ü") == 202_330_169


def test_what_has_no_hash() -> None:
    work = Work()
    assert hash_v2("", work) is None and hash_v2(7, work) is None and hash_v2(None, work) is None
    assert hash_v3(None, work) is None and hash_v3("\ud800", work) is None
    assert hash_v3("", work) is not None


def test_a_key_is_only_so_deep() -> None:
    deep: Any = 1
    for _ in range(CBOR_DEPTH_MAX):
        deep = [deep]
    assert hash_v3(deep, Work()) is not None
    with pytest.raises(LogicFailed, match="levels"):
        hash_v3([deep], Work())


def test_places_are_even_and_know_nothing_of_each_other() -> None:
    people = [f"user-{number}" for number in range(20_000)]
    quarters: Counter[tuple[int, int, int]] = Counter()
    for person in people:
        places = (
            share_of("layer", "x", person),
            share_of("ramp", "x", person),
            shorthand_hash("v3", "x")(person),
        )
        first, second, third = (place * 2 // HASHES for place in places)
        quarters[first, second, third] += 1
    assert len(quarters) == 8
    assert all(2_300 < count < 2_700 for count in quarters.values()), quarters
