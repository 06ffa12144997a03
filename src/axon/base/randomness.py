"""Randomness behind an interface, so that the simulator can seed it."""

import os
from typing import Protocol


class Randomness(Protocol):
    """Where unpredictable bytes come from: nonces, keys, ids, jitter."""

    def bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes."""
        ...


class SystemRandomness:
    """The kernel's random source."""

    __slots__ = ()

    def bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for keys and nonces."""
        return os.urandom(count)
