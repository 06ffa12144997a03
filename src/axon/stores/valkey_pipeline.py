"""One connection to Valkey: commands of one loop tick leave in one write, answers come in order."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import hiredis

from axon.base import MIB
from axon.stores.breaker import Breaker
from axon.stores.errors import ValkeyAway, ValkeyRefused

ValkeyReply = bytes | int | None | list["ValkeyReply"]
"""What Valkey answers (RESP2): bulk and simple strings are both bytes."""

CALLS_IN_FLIGHT_MAX = 16_384
"""Calls that may wait for answers: far above what 50 ms of full speed needs, some 10 MB at most."""

UNSENT_BYTES_MAX = 16 * MIB
"""Bytes the kernel has not taken yet, above which further calls are refused."""

READ_GRACE_S = 0.005
"""Between a deadline and giving up. A loop with sixty turns in hand takes tens of milliseconds for
one round, and learns that the time is up before it has read the socket."""

STALL_MAX_S = 0.2
"""How long a connection may be silent after a call timed out before it is given up. Answers come in
order, so until the late one is here no other can be: calls meanwhile fail at once."""

REPLY_BYTES_MAX = 64 * MIB
"""The longest unfinished answer that is read on: nothing Axon stores in Valkey comes near it."""

_AWAY = {"OOM", "MISCONF", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"}
"""Errors that say that this server cannot take the call now, though the connection is good."""

_USELESS = {"LOADING", "READONLY", "MASTERDOWN", "NOAUTH", "BUSY", "UNBLOCKED"}
"""Errors after which another connection, perhaps to another server, is needed."""

_NOTHING = object()


class ValkeyPipeline(asyncio.Protocol):
    """A connected pipeline; when it breaks it stays broken and says why in `broken`."""

    def __init__(self, timeout_s: float, breaker: Breaker, on_broken: Callable[[], None]) -> None:
        """`on_broken()` is called once, when no further call will be taken."""
        self.broken = ""
        self.in_use = False
        """False during the handshake, whose answers do not yet mean that the server is of use."""
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._unsent: list[bytes] = []
        self._full = False
        self._overdue = ""
        """Why no call is taken now: the answer to an earlier one is late."""
        self._stall: asyncio.TimerHandle | None = None
        self._pending: deque[tuple[asyncio.Future[ValkeyReply], float]] = deque()
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    def call(self, parts: tuple[bytes | str | int, ...]) -> "asyncio.Future[ValkeyReply]":
        """Return the future of the answer to one command; see Valkey.call."""
        if self.broken:
            raise ValkeyAway(self.broken)
        if self._overdue:
            raise ValkeyAway(self._overdue)
        if self._full or len(self._pending) >= CALLS_IN_FLIGHT_MAX:
            raise ValkeyAway("too many calls wait for it")
        packed = hiredis.pack_command(parts)  # type: ignore[arg-type]
        if not self._unsent:
            self._deadline = self._loop.time() + self._timeout_s
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        future: asyncio.Future[ValkeyReply] = self._loop.create_future()
        self._pending.append((future, self._deadline))
        return future

    def set_timeout(self, timeout_s: float) -> None:
        """Bound the calls from now on; none may be waiting."""
        self._timeout_s = timeout_s
        if self._timer is not None:
            self._timer.cancel()  # it is set for an older, later deadline
            self._timer = None

    def breaks(self, reason: str) -> None:
        """Give the connection up: every waiting call gets ValkeyAway."""
        if self.broken:
            return
        self.broken = reason
        for timer in (self._timer, self._stall):
            if timer is not None:
                timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._unsent.clear()
        for future, _ in self._pending:
            if not future.done():
                future.set_exception(ValkeyAway(reason))
        self._pending.clear()
        self._on_broken()

    async def close(self, reason: str) -> None:
        """Give the connection up and return when its socket is closed; that waits for nobody."""
        self.breaks(reason)
        await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self.breaks(f"the connection broke: {exc}" if exc else "it closed the connection")
        self._closed.set()

    def pause_writing(self) -> None:
        """Called by asyncio when UNSENT_BYTES_MAX is passed."""
        self._full = True

    def resume_writing(self) -> None:
        """Called by asyncio when the kernel takes bytes again."""
        self._full = False

    def data_received(self, data: bytes) -> None:
        """Called by asyncio; hands the answers to their callers."""
        reader, pending = self._reader, self._pending
        reader.feed(data)
        answered = False
        try:
            while (reply := reader.gets()) is not _NOTHING and not self.broken:
                if not pending:
                    self.breaks("it answers what was not asked")
                    break
                future = pending.popleft()[0]
                if future.done():
                    continue  # it came too late, or the caller went away
                if isinstance(reply, hiredis.ReplyError):
                    answered |= self._fail(future, str(reply))
                else:
                    answered = True
                    future.set_result(reply)
        except hiredis.ProtocolError as error:
            self.breaks(f"it does not speak RESP: {error}")
        if self._stall is not None and not (pending and pending[0][0].done()):
            self._stall.cancel()
            self._stall, self._overdue = None, ""
        if reader.len() > REPLY_BYTES_MAX:
            self.breaks("its answer is too long")
        elif answered and self.in_use and not self.broken:
            self._breaker.succeeded()

    def _fail(self, future: "asyncio.Future[ValkeyReply]", message: str) -> bool:
        """Pass an error on; return whether it is the caller's own, of a server that is well."""
        code = message.partition(" ")[0]
        if code in _USELESS or message == "ERR Function not found":
            future.set_exception(ValkeyAway(message))
            self.breaks(message)  # reconnecting also loads the functions again
        elif code in _AWAY:
            future.set_exception(ValkeyAway(message))
            if self.in_use:
                self._breaker.failed(message)
                if self._breaker.state == "open":
                    self.breaks(message)
        else:
            future.set_exception(ValkeyRefused(message))
            return True
        return False

    def _flush(self) -> None:
        if self.broken or self._transport is None:
            return
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._expire)

    def _expire(self) -> None:
        """Read once more before giving up: a loop that was busy itself may have the answer."""
        self._timer = self._loop.call_later(READ_GRACE_S, self._give_up, self._loop.time())

    def _give_up(self, due: float) -> None:
        """Fail the calls that were to be answered at `due` and still are not."""
        self._timer = None
        reason = f"no answer within {self._timeout_s * 1000:.0f} ms"
        for future, deadline in self._pending:  # they stay, to take their late answers
            if deadline > due:
                self._timer = self._loop.call_at(deadline, self._expire)
                break
            if not future.done():
                future.set_exception(ValkeyAway(reason))
                self._overdue = reason
                if self.in_use:
                    self._breaker.failed(reason)
        if self._breaker.state == "open" or (self._overdue and not self.in_use):
            self.breaks(reason)
        elif self._overdue and self._stall is None:
            self._stall = self._loop.call_later(STALL_MAX_S, self.breaks, reason)
