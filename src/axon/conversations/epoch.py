"""The epoch: what tells a window that may be stale from one that can be believed."""

import asyncio
import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axon.base import Randomness

_NAME_BYTES = 16
_GENERATION_BYTES = 64
"""Valkey's run_id has 40 characters."""

_NAME = slice(0, _NAME_BYTES)
_USED = _NAME.stop
_GENERATION = slice(_USED + 1, _USED + 1 + _GENERATION_BYTES)


class Epoch:
    """A random name in a small file that all processes of this node have mapped.

    Every window in Valkey carries the name under which it was closed, and is believed under that
    name only. A new name makes all windows of this node misses at once: it is taken before the
    first turn that Valkey cannot see, and whenever the server behind the connection is not the
    one remembered (it may have come back with an old memory). Names are random, so that neither
    a lost file nor another node's epoch can make an old window look true.
    """

    def __init__(self, path: Path, randomness: Randomness) -> None:
        """Open the file, made when absent; blocks for a moment."""
        self._randomness = randomness
        self._renaming = asyncio.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._locked():
            fresh = os.fstat(self._file).st_size < _GENERATION.stop
            if fresh:
                os.ftruncate(self._file, _GENERATION.stop)
            self._map = mmap.mmap(self._file, _GENERATION.stop)
            if fresh:
                self._rename(bytes(_GENERATION_BYTES))
        self.use()  # what a process that died had closed is not known

    @property
    def name(self) -> bytes:
        """Return the present epoch, 16 bytes; costs a fraction of a microsecond."""
        return self._map[_NAME]

    def use(self) -> None:
        """Say that a window is being closed under this epoch; read `name` before."""
        self._map[_USED] = 1

    async def degrade(self) -> None:
        """Return when no window closed so far will be believed again, which then is durable.

        Costs next to nothing when no window was closed since the last time.
        """
        async with self._renaming:
            if self._map[_USED]:
                await asyncio.to_thread(self._rename_when_used)

    async def adopt(self, generation: str) -> None:
        """Remember the server now behind the connection; another one means another epoch."""
        async with self._renaming:
            await asyncio.to_thread(self._rename_for, generation)

    def close(self) -> None:
        """Give the file back."""
        self._map.close()
        os.close(self._file)

    def _rename_when_used(self) -> None:
        with self._locked():
            if self._map[_USED]:
                self._rename(self._map[_GENERATION])

    def _rename_for(self, generation: str) -> None:
        padded = generation.encode().ljust(_GENERATION_BYTES, b"\0")
        with self._locked():
            if self._map[_GENERATION] != padded:
                self._rename(padded)

    def _rename(self, generation: bytes) -> None:
        """Nothing was closed under the new name yet; it is on disk when this returns."""
        self._map[_USED] = 0
        self._map[_NAME] = self._randomness.bytes(_NAME_BYTES)
        self._map[_GENERATION] = generation
        self._map.flush()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the node's other processes from renaming at the same time."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
