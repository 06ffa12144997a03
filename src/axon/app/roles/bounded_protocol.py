"""uvicorn's HTTP protocol for clients nobody knows: what they can make it keep has a bound.

uvicorn itself bounds neither the head of a request, nor how many requests are sent ahead, nor how
long a request may take to arrive.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from axon.app.roles.connections import Connections, Owed, Place
from axon.app.roles.joined_writes import JoiningProtocol
from axon.base import KIB
from axon.gateway import AsgiApp, Problem

HEAD_BYTES_MAX = 32 * KIB
"""The request line and all headers: what nginx takes, twice what Node.js takes."""

HEADERS_MAX = 128
"""What a proxy or two and an SDK send is 30."""

PIPELINED_MAX = 32
"""Requests that wait on one connection for the answer before them. After so many the connection is
closed, which RFC 9112 (9.3.2) allows: the client sends the others again."""


class _OneReadAhead(FlowControl):
    """Reads on only once every request that was sent ahead has begun to be answered."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if self.read_paused and not self._pipeline:
            super().resume_reading()


class _Refused(Exception):
    """The parser is to stop here."""


class BoundedProtocol(JoiningProtocol):
    """A client's connection."""

    def __init__(
        self,
        connections: Connections,
        crowded: AsgiApp,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`crowded` answers those for whom there is no place; the rest is uvicorn's."""
        super().__init__(config, server_state, app_state, _loop)
        self._connections = connections
        self._crowded = crowded
        self.place = Place.SERVED
        self.body_bytes = 0
        self._in_head = self._in_body = self._begun = False
        self._deaf = False
        """Whether what else comes is dropped: this connection takes no more requests."""
        self._head_bytes = 0
        """Read since the packet in which the head began."""
        self._barren_bytes = 0
        """Read since the body last grew: framing, or headers behind the body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called by asyncio; takes a place, or is closed."""
        super().connection_made(transport)
        self.flow = _OneReadAhead(self.transport, self.pipeline)
        self.place = self._connections.enter(self)
        if self.place is Place.RESERVED:
            self.app = self._crowded
        elif self.place is Place.NONE:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio; gives the place back."""
        self._connections.leave(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Called by asyncio: the client does not read."""
        super().pause_writing()
        self._connections.unread(self)

    def resume_writing(self) -> None:
        """Called by asyncio: it has read."""
        super().resume_writing()
        self._connections.caught_up(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio; what comes after a refusal is dropped, until the client is done."""
        if self._deaf:
            return
        had_bytes = self.body_bytes
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._take_no_more()  # we stay with HTTP/1.1, but the parser does not
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse(400, "Invalid HTTP request received.", "invalid_http")
        if self._in_head or self._in_body:
            self._watch(len(data), self.body_bytes != had_bytes)
        self._begun = False

    def _watch(self, size: int, body_grew: bool) -> None:
        """Look at what `size` bytes have left unfinished, if anything."""
        if self._deaf:
            return
        if self._in_head:
            if self._head_bytes > HEAD_BYTES_MAX and not self._begun:
                self._refuse_head()
        elif self._in_body:
            self._barren_bytes = 0 if body_grew else self._barren_bytes + size
            if self._barren_bytes > HEAD_BYTES_MAX or len(self.headers) > 2 * HEADERS_MAX:
                self._refuse_head()
        if self._begun and not self._deaf:
            self._connections.owes(self)

    # ---- what the parser says ----

    def on_message_begin(self) -> None:
        """A request has begun."""
        super().on_message_begin()
        self._in_head = self._begun = True

    def on_headers_complete(self) -> None:
        """Its head is whole; uvicorn begins to answer it, or lets it wait its turn."""
        self._in_head = False
        too_large = len(self.headers) > HEADERS_MAX or (
            self._head_bytes > HEAD_BYTES_MAX and self._exact_head_bytes() > HEAD_BYTES_MAX
        )
        if too_large:
            self._refuse_head()
            raise _Refused
        self._head_bytes = self.body_bytes = self._barren_bytes = 0
        self._in_body = self._begun = True
        super().on_headers_complete()
        if len(self.pipeline) > PIPELINED_MAX:
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0]
            self._in_body = False
            self._take_no_more()
            raise _Refused
        if self.place is Place.RESERVED:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Some of its body has arrived."""
        self.body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is whole: the next move is ours, unless we have made it already."""
        self._in_body = False
        self._head_bytes = 0
        super().on_message_complete()
        if self.cycle.response_complete:
            self._connections.owes(self)
        else:
            self._connections.paid(self)

    # ---- what we say ----

    def on_response_complete(self) -> None:
        """As uvicorn's, but its timer for each answer is the one look at all connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif not self._in_head:
            self._connections.owes(self)

    @property
    def owed(self) -> Owed:
        """What its client owes, while it is waited for."""
        if self._deaf:
            return Owed.REST
        if self._in_head:
            return Owed.HEAD
        if self._in_body:
            return Owed.REST if self.cycle.response_complete else Owed.BODY
        return Owed.FIRST_REQUEST if self._newest is None else Owed.NEXT_REQUEST

    @property
    def reading(self) -> bool:
        """Whether what the client sends is read now."""
        return not self.flow.read_paused

    @property
    def _newest(self) -> RequestResponseCycle | None:
        """The newest request, whether or not it is answered or even whole."""
        return self.cycle  # uvicorn's type forgets that there is none at first

    def unsent_bytes(self) -> int:
        """How much of the answers the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    def late(self) -> None:
        """Answer a request that did not come with 408, and end."""
        if self.owed in (Owed.HEAD, Owed.BODY):
            self._refuse(408, "The request did not arrive in time.", "request_timeout")
        else:
            self.cut("late")

    def cut(self, why: str) -> None:
        """End at once; the log line of the request being answered says why."""
        newest = self._newest
        if newest is not None:
            newest.scope["axon.cut"] = why  # type: ignore[typeddict-unknown-key]
        self.transport.abort()

    def _exact_head_bytes(self) -> int:
        """Return how long the head is without its spaces and line ends."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_head(self) -> None:
        message = f"A request has at most {HEADERS_MAX} headers and {HEAD_BYTES_MAX} bytes of them."
        self._refuse(431, message, "headers_too_large")

    def _refuse(self, status: int, message: str, code: str) -> None:
        """Answer the request that is arriving in the gateway's place, and take no more.

        An answer that is due to a request before it comes first; the refusal is then left out.
        """
        before = self._newest
        if before is not None and not before.response_complete and not self._in_body:
            self._take_no_more()
            return
        self._deaf = True
        begun = before is not None and self._in_body and before.response_started
        if self.pipeline or begun or self.transport.is_closing():
            self.cut("refused")
            return
        if before is not None and self._in_body:
            before.disconnected = True
            before.message_event.set()
        problem = Problem(status=status, message=message, code=code)
        self.transport.write(_answer(problem))
        if not self.transport.can_write_eof():  # TLS ends both ways at once
            self.transport.close()
            return
        self.transport.write_eof()
        self._connections.owes(self)

    def _take_no_more(self) -> None:
        """Close once the requests that are whole have their answers."""
        self._deaf = True
        self._connections.paid(self)
        self.cycle.keep_alive = False


def _answer(problem: Problem) -> bytes:
    body = problem.body()
    head = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"
    return (
        f"{head}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    ).encode() + body
