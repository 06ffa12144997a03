"""One connection to an upstream, and one request and answer on it."""

import asyncio
from typing import Protocol, cast

import httptools

from axon.base import KIB
from axon.inference.errors import AnswerBroken, AnswerTooLarge, UpstreamError

HEAD_BYTES_MAX = 64 * KIB
"""Status line and headers of an answer; engines send some hundred bytes."""


class AnswerSink(Protocol):
    """Who hears an answer. Calls come on the loop: head, data (any number), then end or broken.

    After `on_end` or `on_broken`, or once the exchange was aborted, nothing more is called.
    """

    def on_head(self, status: int, headers: dict[bytes, bytes]) -> None:
        """The head arrived; names are in lower case, of a repeated header the last counts."""
        ...

    def on_data(self, data: bytes) -> None:
        """Body arrived: everything one read of the socket brought, joined."""
        ...

    def on_end(self, certain: bool) -> None:
        """The body ended; `certain` is False when only the closed connection says so."""
        ...

    def on_broken(self, error: UpstreamError) -> None:
        """There will be no, or no complete, answer."""
        ...


class Exchange:
    """A request and its answer; the handle by which its caller pauses or stops it."""

    __slots__ = ("connecting", "connection", "paused", "request", "retried", "sink")

    def __init__(self, request: bytes, sink: AnswerSink) -> None:
        """`request` is the whole request, head and body."""
        self.request = request
        self.sink = sink
        self.connection: Connection | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.paused = False
        self.retried = False
        """True once it moved from a stale connection to a fresh one."""

    def pause(self) -> None:
        """Stop reading the answer; the upstream feels it when the socket's buffers are full."""
        if self.connection is not None and self.connection.open and not self.paused:
            self.paused = True
            self.connection.transport.pause_reading()

    def resume(self) -> None:
        """Read on after `pause`."""
        if self.paused and self.connection is not None and self.connection.open:
            self.connection.transport.resume_reading()
        self.paused = False

    def abort(self) -> None:
        """Close the connection now, or stop making one; the sink hears nothing more."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.exchange = None
            connection.close()
        elif self.connecting is not None:
            self.connecting.cancel()
            self.connecting = None


class Home(Protocol):
    """Where connections come from and go back to."""

    def put_back(self, connection: "Connection") -> None:
        """Keep a connection whose answer has ended for the next request."""
        ...

    def lost(self, connection: "Connection") -> None:
        """Forget a connection that is no longer open."""
        ...

    def send_again(self, exchange: Exchange) -> None:
        """Send the request of a stale connection on a fresh one."""
        ...


class Connection(asyncio.Protocol):
    """A kept-alive HTTP/1.1 connection: at most one exchange at a time."""

    __slots__ = (
        "_chunks",
        "_ended",
        "_framed",
        "_head_bytes",
        "_headers",
        "_home",
        "_keep",
        "_parser",
        "_received",
        "_status",
        "_told_head",
        "born",
        "exchange",
        "idle_since",
        "on_body",
        "transport",
        "used",
    )

    transport: asyncio.Transport

    def __init__(self, home: Home, now: float) -> None:
        """`now` is its birth in monotonic seconds."""
        self._home = home
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append
        """Called by the parser for each piece of the body; a burst has hundreds."""
        self._parser = httptools.HttpResponseParser(self)
        self.born = self.idle_since = now
        self.exchange: Exchange | None = None
        self.used = False
        """True when an earlier answer came this way: the upstream may be about to close it."""
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks.clear()
        self._head_bytes = 0
        self._received = self._told_head = self._framed = self._ended = self._keep = False

    def begin(self, exchange: Exchange) -> None:
        """Send the request; its sink hears of the answer."""
        self._reset()
        self.exchange = exchange
        exchange.connection = self
        self.transport.write(exchange.request)

    def close(self) -> None:
        """Close at once, without sending what is still buffered."""
        self.transport.abort()

    @property
    def open(self) -> bool:
        """Return True while requests can be sent."""
        return not self.transport.is_closing()

    # ---- what the transport says ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once, by the loop."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by birth

    def connection_lost(self, error: Exception | None) -> None:
        """Called once, by the loop: end the exchange that was under way."""
        self._home.lost(self)
        self._parser = httptools.HttpResponseParser(None)  # it held us: a cycle nobody looks for
        exchange = self.exchange
        if exchange is None:
            return
        if not self._received and self.used and not exchange.retried:
            self._leave()
            exchange.retried = True
            self._home.send_again(exchange)
        elif self._told_head and not self._framed:
            self._leave()
            exchange.sink.on_end(False)
        else:
            self._break(AnswerBroken(str(error or "the connection was closed")))

    def data_received(self, data: bytes) -> None:
        """Parse what one read brought and pass it on."""
        exchange = self.exchange
        if exchange is None:
            self.close()  # bytes that nobody asked for: the next answer could not be trusted
            return
        self._received = True
        if not self._told_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep = False
            self._deliver(exchange)
            self._break(AnswerBroken(str(error)))
            return
        self._deliver(exchange)
        if not self._status and self._head_bytes > HEAD_BYTES_MAX:
            self._break(AnswerTooLarge(f"a head of more than {HEAD_BYTES_MAX} bytes"))

    def _deliver(self, exchange: Exchange) -> None:
        """Tell the sink what the parser found; the sink may abort at any call."""
        if not self._status:
            return
        if not self._told_head:
            if sum([len(name) + len(value) for name, value in self._headers]) > HEAD_BYTES_MAX:
                self._break(AnswerTooLarge(f"a head of more than {HEAD_BYTES_MAX} bytes"))
                return
            self._told_head = True
            headers = dict(self._headers)
            self._framed = b"content-length" in headers or b"transfer-encoding" in headers
            exchange.sink.on_head(self._status, headers)
        if self._chunks and self.exchange is exchange:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks.clear()
            exchange.sink.on_data(data)
        if self._ended and self.exchange is exchange:
            exchange.resume()
            self._leave()
            self.used = True
            if self._keep and self.open:
                self._home.put_back(self)
            else:
                self.close()
            exchange.sink.on_end(True)

    def _leave(self) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.connection = None

    def _break(self, error: UpstreamError) -> None:
        exchange = self.exchange
        self._leave()
        self.close()
        if exchange is not None:
            exchange.sink.on_broken(error)

    # ---- what the parser says ----

    def on_message_begin(self) -> None:
        """An answer begins; a second one to the same request is an error."""
        if self._ended:
            raise AnswerBroken("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer; what follows the body is passed over."""
        if not self._told_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole; an interim one (1xx) is passed over."""
        status = self._parser.get_status_code()
        if status < 200:
            self._headers.clear()
            return
        self._status = status
        self._keep = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._status:
            self._ended = True
