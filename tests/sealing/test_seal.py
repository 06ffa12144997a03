import pytest
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from axon.base import SystemRandomness
from axon.sealing import (
    CONTENT_BYTES_MAX,
    ContentTooLarge,
    DataKey,
    SealBroken,
    item_context,
    key_id_of,
    open_sealed,
    seal,
)
from axon.sealing import seal as seal_function
from axon.sealing.seal import _HEADER, COMPRESS_FROM_BYTES

RANDOM = SystemRandomness()
CONTEXT = item_context("org_1", 5, "conv_1", "resp_1", "msg_1")


def make_key(key_id: bytes = b"k" * 16) -> DataKey:
    return DataKey(key_id=key_id, org_id="org_1", user=5, cipher=AESGCM(RANDOM.bytes(32)))


KEY = make_key()
texts = st.binary(max_size=4096) | st.text(max_size=50).map(lambda text: text.encode() * 100)


@given(texts, st.binary(max_size=200))
def test_round_trip(content: bytes, context: bytes) -> None:
    blob = seal(KEY, context, content, RANDOM)
    assert open_sealed(KEY, context, blob) == content
    assert key_id_of(blob) == KEY.key_id
    assert len(blob) <= len(content) + _HEADER.size + 16


@pytest.mark.failure("postgresql", "corrupt")
@pytest.mark.parametrize("content", [b"", b"short", b"long enough to be compressed " * 40])
def test_every_flipped_bit_is_found(content: bytes) -> None:
    blob = seal(KEY, CONTEXT, content, RANDOM)
    for bit in range(len(blob) * 8):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealBroken):
            open_sealed(KEY, CONTEXT, bytes(damaged))


def test_every_cut_is_found() -> None:
    blob = seal(KEY, CONTEXT, b"something", RANDOM)
    for length in range(len(blob)):
        with pytest.raises(SealBroken):
            open_sealed(KEY, CONTEXT, blob[:length])
    with pytest.raises(SealBroken):
        open_sealed(KEY, CONTEXT, blob + b"\0")
    with pytest.raises(SealBroken):
        key_id_of(blob[:10])


@pytest.mark.failure("postgresql", "corrupt")
def test_another_place_or_key_is_refused() -> None:
    blob = seal(KEY, CONTEXT, b"something", RANDOM)
    for place in (
        ("org_2", 5, "conv_1", "resp_1", "msg_1"),
        ("org_1", 6, "conv_1", "resp_1", "msg_1"),
        ("org_1", 5, "conv_2", "resp_1", "msg_1"),
        ("org_1", 5, "conv_1", "resp_2", "msg_1"),
        ("org_1", 5, "conv_1", "resp_1", "msg_2"),
    ):
        with pytest.raises(SealBroken):
            open_sealed(KEY, item_context(*place), blob)
    with pytest.raises(SealBroken):
        open_sealed(make_key(b"x" * 16), CONTEXT, blob)
    with pytest.raises(SealBroken):
        open_sealed(make_key(), CONTEXT, blob)


places = st.tuples(st.text(), st.integers(0, 2**63 - 1), st.text(), st.text(), st.text())


@given(places, places)
def test_two_places_never_share_a_context(
    one: tuple[str, int, str, str, str], other: tuple[str, int, str, str, str]
) -> None:
    assert (item_context(*one) == item_context(*other)) == (one == other)


def test_what_could_be_confused_is_not() -> None:
    assert item_context("o", 1, "1:x", "t", "i") != item_context("o", 11, ":x", "t", "i")
    assert item_context("o", 1, "", "ab", "c") != item_context("o", 1, "ab", "", "c")


def test_equal_content_never_gives_equal_blobs() -> None:
    assert len({seal(KEY, CONTEXT, b"yes", RANDOM) for _ in range(100)}) == 100


def test_compresses_only_what_gains() -> None:
    text = b"the same again " * 1000
    assert len(seal(KEY, CONTEXT, text, RANDOM)) < len(text) // 4
    noise = RANDOM.bytes(COMPRESS_FROM_BYTES * 2)
    assert len(seal(KEY, CONTEXT, noise, RANDOM)) == len(noise) + _HEADER.size + 16


def forge(frame: bytes, flags: int = 1, dictionary: int = 0) -> bytes:
    """Return a blob that somebody who has the key could make."""
    header = _HEADER.pack(1, flags, KEY.key_id, dictionary, b"n" * 12)
    return header + KEY.cipher.encrypt(b"n" * 12, frame, header + CONTEXT)


@pytest.mark.parametrize("says_its_size", [True, False])
def test_decompression_is_bounded(says_its_size: bool) -> None:
    compressor = zstandard.ZstdCompressor(level=1, write_content_size=says_its_size)
    bomb = compressor.compress(bytes(CONTENT_BYTES_MAX + 1))
    assert len(bomb) < 10_000
    with pytest.raises(SealBroken):
        open_sealed(KEY, CONTEXT, forge(bomb))
    full = compressor.compress(bytes(CONTENT_BYTES_MAX))
    assert len(open_sealed(KEY, CONTEXT, forge(full))) == CONTENT_BYTES_MAX


def test_what_a_later_version_sealed_is_refused() -> None:
    for blob in (forge(b"", flags=2), forge(b"", flags=0, dictionary=7), forge(b"no frame")):
        with pytest.raises(SealBroken):
            open_sealed(KEY, CONTEXT, blob)


def test_content_is_bounded() -> None:
    assert seal_function is seal
    seal(KEY, CONTEXT, bytes(CONTENT_BYTES_MAX), RANDOM)
    with pytest.raises(ContentTooLarge):
        seal(KEY, CONTEXT, bytes(CONTENT_BYTES_MAX + 1), RANDOM)
