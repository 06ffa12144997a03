"""Randomness from a pool: every byte is given out once, whoever asks."""

from concurrent.futures import ThreadPoolExecutor

from axon.base import SystemRandomness

NONCE_BYTES = 12
NONCES = 4000
"""Enough to empty the pool a dozen times."""


def test_threads_never_share_bytes() -> None:
    randomness = SystemRandomness()
    with ThreadPoolExecutor(8) as threads:
        drawn = list(threads.map(lambda _: randomness.bytes(NONCE_BYTES), range(NONCES)))
    assert {len(nonce) for nonce in drawn} == {NONCE_BYTES}
    pieces = {nonce[start : start + 6] for nonce in drawn for start in (0, 6)}
    assert len(pieces) == 2 * NONCES  # not even half a nonce comes twice


def test_long_requests_get_all_they_asked_for() -> None:
    assert [len(SystemRandomness().bytes(count)) for count in (0, 1, 64, 65, 5000)] == [
        0,
        1,
        64,
        65,
        5000,
    ]
