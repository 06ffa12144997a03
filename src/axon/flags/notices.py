"""Word of changes, from process to process over Valkey: faster than asking PostgreSQL is.

axon:flags   stream   the numbers of the newest changes; field n

It only says that there is something to read. What is lost on the way, the next poll finds.
"""

import asyncio
from collections.abc import Callable

from axon.base import Clock
from axon.stores import StoreError, Valkey, ValkeyReply

KEY = "axon:flags"

_KEPT = 16
"""Entries that Valkey keeps at least; a reader wants the newest alone."""

BLOCK_MS = 1000
"""How long one read waits in Valkey; it ends at the first entry."""

_ANSWER_MARGIN_MS = 2000
"""Beyond the block: a Valkey that needs longer is frozen, and the connection is made anew."""

_RETRY_EVERY_S = 0.05

_BEGINNING = b"0-0"


class Notices:
    """Tells other processes of changes, and hears of theirs."""

    def __init__(self, valkey: Valkey, url: str, clock: Clock, heard: Callable[[], None]) -> None:
        """`heard` is called for news, and whenever some may have been missed."""
        self._valkey = valkey
        self._blocking = Valkey(url, BLOCK_MS + _ANSWER_MARGIN_MS, clock, "valkey-flags")
        self._heard = heard

    async def start(self) -> None:
        """Connect; Valkey may be away."""
        await self._blocking.start()

    async def stop(self) -> None:
        """Close the connection."""
        await self._blocking.stop()

    async def tell(self, number: int) -> None:
        """Tell the others of a change; without Valkey they find it themselves, a little later."""
        try:
            await self._valkey.call("XADD", KEY, "MAXLEN", "~", _KEPT, "*", "n", number)
        except StoreError:
            return

    async def follow(self) -> None:
        """Listen for ever."""
        position = b""
        while True:
            await self._blocking.wait_until_available()
            try:
                if not position:  # from now on, and then a look at what was before
                    position = _newest(await self._call("XREVRANGE", KEY, "+", "-", "COUNT", 1))
                    self._heard()
                reply = await self._call("XREAD", "BLOCK", BLOCK_MS, "STREAMS", KEY, position)
            except StoreError:
                position = b""  # a Valkey that lost its memory counts anew
                await asyncio.sleep(_RETRY_EVERY_S)
                continue
            if isinstance(reply, list) and reply and isinstance(reply[0], list):
                position = _newest(reply[0][1])
                self._heard()

    async def _call(self, *parts: bytes | str | int) -> ValkeyReply:
        return await self._blocking.call(*parts)


def _newest(entries: ValkeyReply) -> bytes:
    """Return the id of the last entry."""
    if isinstance(entries, list) and entries and isinstance(entries[-1], list):
        found = entries[-1][0]
        if isinstance(found, bytes):
            return found
    return _BEGINNING
