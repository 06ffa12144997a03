"""Reads the rows of one lane for one worker, so that each gets its share of the free slots."""

import asyncio
from importlib.resources import files
from typing import NamedTuple

from axon.base import Clock
from axon.inference.broker import keys
from axon.inference.broker.following import BLOCK_MS
from axon.inference.broker.stream_entries import streams_of
from axon.inference.jobs import ROWS
from axon.stores import StoreError, Valkey, ValkeyReply

CLAIM_IDLE_MS = 2000
"""An entry that another worker has read and not taken for this long is that worker's no more."""

READ_MAX = 4
"""Jobs of one read: a burst is shared among the workers instead of being the first one's."""

LIBRARY = "axon_jobs"

_CLAIM_EVERY_S = 2.0
_RETRY_EVERY_S = 0.05


class Found(NamedTuple):
    """An entry, and the key of the row that it was read from."""

    key: str
    entry: ValkeyReply


class RowReader:
    """What it returns is pending under the worker's name until it is acknowledged."""

    def __init__(self, client: Valkey, lane: str, worker_id: str, clock: Clock) -> None:
        """`client` is a blocking one of its own, not yet started."""
        self.unsure = False
        """Whether entries may be pending under our name that were not returned last time."""
        self._client = client
        self._keys = keys.row_keys(lane)
        self._turns = keys.turns_key(lane)
        self._worker_id = worker_id
        self._clock = clock
        self._claim_at = 0.0
        client.load_functions(LIBRARY, jobs_functions())

    async def read(self, free: int) -> list[Found]:
        """Return up to `free` entries, after BLOCK_MS at the latest; raises StoreError.

        While as many slots as rows are free nobody waits for another, and one call does. With
        fewer Valkey says first, without waiting, whose turn it is.
        """
        if self.unsure:  # an answer got lost, or brought more than was free
            found = await self._read_group(min(free, READ_MAX), "0")
            self.unsure = bool(found)
            if found:
                return self._fitting(found, free)
        claimed = await self._claim(min(free, READ_MAX))
        if claimed:
            return self._fitting(claimed, free)
        if free < ROWS:
            found = await self._read_by_turns(min(free, READ_MAX))
            if found:
                return found
        each = min(READ_MAX, max(1, free // ROWS))
        return self._fitting(await self._read_group(each, ">", "BLOCK", BLOCK_MS), free)

    async def make_groups(self) -> None:
        """Make the rows that are not there: at the first start, and after a loss of everything."""
        call, made = self._client.call, ("0", "MKSTREAM")
        try:
            answers = await asyncio.gather(
                *(call("XGROUP", "CREATE", key, keys.GROUP, *made) for key in self._keys),
                return_exceptions=True,
            )
        except StoreError:
            answers = []
        if not any(answer == b"OK" for answer in answers):
            await asyncio.sleep(_RETRY_EVERY_S)  # another worker made them, or Valkey is away

    async def leave(self, valkey: Valkey) -> None:
        """Take this worker's name off the rows, by a client that still runs; raises StoreError.

        Entries that were read and not taken would go with it: then the name stays, until another
        worker has claimed them.
        """
        for key in self._keys:
            if not await valkey.call("XPENDING", key, keys.GROUP, "-", "+", 1, self._worker_id):
                await valkey.call("XGROUP", "DELCONSUMER", key, keys.GROUP, self._worker_id)

    def _fitting(self, found: list[Found], free: int) -> list[Found]:
        """Return what there is room for; the rest is read again when there is more."""
        if len(found) > free:
            self.unsure = True
        return found[:free]

    async def _read_group(self, count: int, after: str, *block: str | int) -> list[Found]:
        """Return so many entries of every row at most."""
        call, group = self._client.call, ("GROUP", keys.GROUP, self._worker_id, "COUNT", count)
        streams = ("STREAMS", *self._keys, *(after for _ in self._keys))
        reply = await call("XREADGROUP", *group, *block, *streams)
        found = []
        for key, entries in streams_of(reply):
            found += [Found(key, entry) for entry in entries]
        return found

    async def _read_by_turns(self, count: int) -> list[Found]:
        call, names = self._client.call, (self._turns, *self._keys)
        asked = (keys.GROUP, self._worker_id, count)
        reply = await call("FCALL", "axon_jobs_read", len(names), *names, *asked)
        assert isinstance(reply, list)
        found = []
        for one in reply:
            assert isinstance(one, list) and isinstance(one[0], int)
            found.append(Found(self._keys[one[0]], one[1]))
        return found

    async def _claim(self, count: int) -> list[Found]:
        """Return what a worker that died had read and not taken, now and then."""
        now_s = self._clock.monotonic()
        if now_s < self._claim_at:
            return []
        self._claim_at = now_s + _CLAIM_EVERY_S
        asked = (keys.GROUP, self._worker_id, CLAIM_IDLE_MS, "0-0", "COUNT", count)
        answers: list[ValkeyReply] = await asyncio.gather(
            *(self._client.call("XAUTOCLAIM", key, *asked) for key in self._keys)
        )
        found = []
        for key, answer in zip(self._keys, answers, strict=True):
            if isinstance(answer, list) and isinstance(answer[1], list):
                found += [Found(key, entry) for entry in answer[1]]
        return found


def jobs_functions() -> str:
    """Return the source of the functions that gateways and workers call."""
    return files("axon.inference.broker").joinpath("jobs.lua").read_text()
