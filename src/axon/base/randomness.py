"""Randomness behind an interface, so that the simulator can seed it."""

import os
from threading import Lock
from typing import Protocol


class Randomness(Protocol):
    """Where unpredictable bytes come from: nonces, keys, ids, jitter."""

    def bytes(self, count: int) -> bytes:
        """Return `count` unpredictable bytes."""
        ...


_POOL_BYTES = 4096
_POOLED_BYTES_MAX = 64
"""Short requests, nonces above all, are cut from a pool: a system call each would cost a turn
more than sealing it does."""


class SystemRandomness:
    """The kernel's random source; any thread may ask. A process that forks makes a new one."""

    __slots__ = ("_left", "_lock", "_pool")

    def __init__(self) -> None:
        """Start with an empty pool."""
        self._lock = Lock()
        self._pool = b""
        self._left = 0

    def bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for keys and nonces; no byte is ever given out twice."""
        if count > _POOLED_BYTES_MAX:
            return os.urandom(count)
        with self._lock:
            if self._left < count:
                self._pool, self._left = os.urandom(_POOL_BYTES), _POOL_BYTES
            self._left -= count
            return self._pool[self._left : self._left + count]
