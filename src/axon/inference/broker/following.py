"""Follows one stream of Valkey, entry by entry, across its restarts."""

import asyncio
from collections.abc import Callable

from axon.base import Clock
from axon.inference.broker.stream_entries import entries_of, entry_id, place
from axon.stores import StoreError, Valkey, ValkeyReply

BLOCK_MS = 1000
"""How long one read waits in Valkey; it ends at the first entry."""

_ANSWER_MARGIN_MS = 2000
"""Beyond the block: a Valkey that needs longer is frozen, and the connection is made anew."""

_ENTRIES_MAX = 128
"""Entries of one read; after a failure it begins again with one, for their bytes are not known."""

_RETRY_EVERY_S = 0.05

_BEGINNING = b"0-0"


def blocking_client(url: str, clock: Clock, name: str) -> Valkey:
    """Return a client for commands that block up to BLOCK_MS."""
    return Valkey(url, BLOCK_MS + _ANSWER_MARGIN_MS, clock, name)


class Follower:
    """Reads a stream from its oldest entry on; a Valkey that lost its memory begins anew."""

    def __init__(self, client: Valkey, key: str, take: Callable[[list[ValkeyReply]], None]) -> None:
        """`client` is a blocking one of its own; `take` gets the entries, and must not raise."""
        self.position = _BEGINNING
        """The id of the last entry taken."""
        self._client = client
        self.key = key
        self._take = take
        self._generation = ""
        client.on_connected.append(self._connected)

    @property
    def place(self) -> tuple[int, int]:
        """Return the position as numbers that compare."""
        return place(self.position)

    async def follow(self) -> None:
        """Read for ever."""
        count = 1
        while True:
            await self._client.wait_until_available()
            try:
                reply = await self._client.call(
                    *("XREAD", "COUNT", count, "BLOCK", BLOCK_MS),
                    *("STREAMS", self.key, self.position),
                )
            except StoreError:
                count = 1
                await asyncio.sleep(_RETRY_EVERY_S)
                continue
            count = min(2 * count, _ENTRIES_MAX)
            entries = entries_of(reply)
            if entries:
                self._take(entries)
                self.position = entry_id(entries[-1])

    async def _connected(self, generation: str) -> None:
        if generation != self._generation:
            self._generation, self.position = generation, _BEGINNING
