"""The windows and leases in Valkey, behind six functions of one round trip each."""

import asyncio
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

import msgspec

from axon.conversations.epoch import Epoch
from axon.conversations.history import OpenedWindow, WindowTurn
from axon.stores import StoreError, Valkey, ValkeyReply

LIBRARY = "axon_conversations"

LEASE_MS = 15_000
"""How long a lease lasts without renewal: a process that died holds others up for so long."""

MARGIN_MS = 2_000
"""A holder gives up this much before anyone else may take over: the two clocks run apart, and
the record it may still be writing must reach the disk."""

_SAME, _HIT, _MISS, _BUSY, _STALE = range(5)

_encode = msgspec.msgpack.Encoder().encode
_decode_turn = msgspec.msgpack.Decoder(WindowTurn).decode


class Same(NamedTuple):
    """The lease is given, and the window the caller holds is the true one."""


class Hit(NamedTuple):
    """The lease is given, with the window."""

    head: int
    head_fence: int
    complete: bool
    turns: list[WindowTurn]


class Miss(NamedTuple):
    """The lease is given, but there is no window to be believed."""


class Busy(NamedTuple):
    """Another process has the lease."""

    left_ms: int


class Stale(NamedTuple):
    """A newer lease was given already; try with a fence above this one."""

    fence: int


Answer = Same | Hit | Miss | Busy | Stale


class WindowCache:
    """Speaks to Valkey; a reply that does not come changes nothing but the way that is taken."""

    def __init__(self, valkey: Valkey, epoch: Epoch, instance: str) -> None:
        """Load the functions; `instance` is the holder's name in leases."""
        self._valkey = valkey
        self._epoch = epoch
        self._instance = instance
        source = files("axon.conversations").joinpath("window.lua").read_text()
        valkey.load_functions(LIBRARY, source)
        valkey.on_connected.append(epoch.adopt)

    async def begin(
        self, conversation_id: str, fence: int, epoch: bytes, known: OpenedWindow | None
    ) -> Answer:
        """Take the lease and open the window, in one round trip; raises ValkeyAway.

        When cancelled, the lease that may have been given is given back.
        """
        held = b"" if known is None else b"%d.%d" % (known.head, known.head_fence)
        call = self._call(
            b"axon_begin",
            conversation_id,
            (epoch, self._instance, fence, LEASE_MS + MARGIN_MS, held),
        )
        try:
            return _read_answer(await call)
        except asyncio.CancelledError:
            self.abort(conversation_id, fence, close=True)
            raise

    def fill(
        self, conversation_id: str, fence: int, window: OpenedWindow, turns: Sequence[WindowTurn]
    ) -> None:
        """Send what a miss found elsewhere, not waiting for the answer."""
        packed = [_pack(turn) for turn in turns]
        fixed = (fence, window.head, window.head_fence, int(window.complete))
        self._send(b"axon_fill", conversation_id, (*fixed, *packed))

    def commit(self, conversation_id: str, fence: int, epoch: bytes, turn: WindowTurn) -> None:
        """Send the turn that closes the window, not waiting for the answer.

        A call that gets lost leaves the window open, and an open window is never believed; a later
        begin of this process follows on the same connection, behind it.
        """
        self._epoch.use()
        packed = _pack(turn) if turn.items else b""
        self._send(b"axon_commit", conversation_id, (epoch, fence, turn.sequence, packed))

    def abort(self, conversation_id: str, fence: int, *, close: bool) -> None:
        """Give the lease back, not waiting for the answer.

        `close`: nothing was written under it, so that the window is as true as before.
        """
        self._epoch.use()
        self._send(b"axon_abort", conversation_id, (fence, b"close" if close else b"drop"))

    async def renew(self, conversation_id: str, fence: int, epoch: bytes) -> bool:
        """Return whether the lease was prolonged; raises ValkeyAway."""
        arguments = (epoch, self._instance, fence, LEASE_MS + MARGIN_MS)
        return await self._call(b"axon_renew", conversation_id, arguments) == 1

    async def disbelieve(self, conversation_ids: Sequence[str]) -> None:
        """Return when no window of these conversations that was closed so far is believed.

        Without Valkey, none of this node's is.
        """
        try:
            await asyncio.gather(
                *[self._call(b"axon_disbelieve", name, ()) for name in conversation_ids]
            )
        except StoreError:
            await self._epoch.degrade()

    def _call(
        self, function: bytes, conversation_id: str, arguments: tuple[bytes | str | int, ...]
    ) -> "asyncio.Future[ValkeyReply]":
        window = f"{{{conversation_id}}}:w"
        turns = f"{{{conversation_id}}}:t"
        return self._valkey.call(b"FCALL", function, 2, window, turns, *arguments)

    def _send(
        self, function: bytes, conversation_id: str, arguments: tuple[bytes | str | int, ...]
    ) -> None:
        try:
            call = self._call(function, conversation_id, arguments)
        except StoreError:
            return
        call.add_done_callback(_heard)


def _heard(call: "asyncio.Future[ValkeyReply]") -> None:
    """Nothing depends on the answer; the client counts and logs what fails."""
    if not call.cancelled():
        call.exception()


def _pack(turn: WindowTurn) -> bytes:
    return _encode((turn.turn_id, turn.sequence, turn.items))


def _read_answer(reply: ValkeyReply) -> Answer:
    assert isinstance(reply, list)
    code, *rest = reply
    if code == _SAME:
        return Same()
    if code == _MISS:
        return Miss()
    if code == _HIT:
        head, fence, complete, turns = rest
        assert isinstance(head, int)
        assert isinstance(fence, bytes)
        assert isinstance(turns, list)
        window = [_decode_turn(turn) for turn in turns if isinstance(turn, bytes)]
        return Hit(head, int(fence), complete == 1, window)
    if code == _BUSY:
        assert isinstance(rest[0], int)
        return Busy(rest[0])
    assert code == _STALE
    assert isinstance(rest[0], bytes)
    return Stale(int(rest[0]))
