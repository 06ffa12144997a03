"""HTTP/1.1 to the other serving processes of this node, over their private unix sockets."""

import asyncio
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httptools

from axon.base import KIB, MIB, AxonError, Clock
from axon.gateway.call import Headers

PRESENT_S = 10.0
"""How long a sibling may take to accept a connection: it restarts in two or three seconds."""

ASK_S = 2.0
"""How long a sibling may take to answer a question of ours."""

_ENDING_S = 0.5
"""How long a process that is itself ending waits: all of them may be."""

_TRY_AGAIN_S = 0.05
"""Between two tries to connect, where no supervisor keeps the socket of a dead process open."""

_READ_BYTES = 64 * KIB
_HEAD_BYTES_MAX = 64 * KIB
_FETCHED_BYTES_MAX = 16 * MIB
"""Longest answer to a question of ours, kept whole."""

_IDLE_MAX = 64
_IDLE_S_MAX = 55.0
"""Siblings close a connection that was idle for 75 s; well before that we do."""

PRESENT_PATH = "/internal/present"
"""What a new connection asks first: once it is answered, a living process has accepted it."""

EARLIER_TRY_PATH = "/internal/earlier_try"
"""Asks whether this process has taken an earlier try of a request; see `earlier_tries`."""


class SiblingAway(AxonError):
    """Another serving process of this node does not answer; it was not asked, or only asked."""


class AnswerCut(AxonError):
    """Another serving process of this node ended in the middle of an exchange."""


class Fetched(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


class SiblingConnection:
    """A connection for one exchange at a time; reading it is what makes the sibling send on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Wrap an open connection."""
        self._reader = reader
        self._writer = writer
        self._chunks: list[bytes] = []
        self.on_body = self._chunks.append
        self.idle_since_s = 0.0
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._chunks.clear()
        self._unread_head = _HEAD_BYTES_MAX
        self._has_head = self._ended = False
        self.headers: Headers = []
        self.status = 0
        self.answered = False
        """True once a byte of the answer arrived: before that nothing is known to have happened."""
        self.reusable = False
        """True once the answer is whole and another may follow it."""

    @property
    def open(self) -> bool:
        """Return False once the sibling closed its side."""
        return not (self._writer.is_closing() or self._reader.at_eof())

    def close(self) -> None:
        """Close at once; whoever reads gets AnswerCut."""
        self._writer.transport.abort()
        self._parser = httptools.HttpResponseParser(None)  # it held us: a cycle nobody looks for

    async def send(self, request: bytes) -> None:
        """Send a whole request; raises AnswerCut."""
        self._begin()
        try:
            self._writer.write(request)
            await self._writer.drain()
        except OSError as error:
            raise AnswerCut(str(error)) from error

    async def head(self) -> None:
        """Return when `status` and `headers` are there; raises AnswerCut."""
        while not self._has_head:
            await self._read()
            if self._unread_head < 0:
                raise AnswerCut(f"a head of more than {_HEAD_BYTES_MAX} bytes")

    async def piece(self) -> tuple[bytes, bool]:
        """Return what arrived of the body, and whether that was the last; raises AnswerCut."""
        while not self._chunks and not self._ended:
            await self._read()
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data, self._ended

    async def whole(self) -> Fetched:
        """Return the whole answer; raises AnswerCut."""
        await self.head()
        body = bytearray()
        last = False
        while not last:
            data, last = await self.piece()
            body += data
            if len(body) > _FETCHED_BYTES_MAX:
                raise AnswerCut(f"a body of more than {_FETCHED_BYTES_MAX} bytes")
        return Fetched(self.status, bytes(body))

    async def _read(self) -> None:
        try:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                raise AnswerCut
            self.answered = True
            if not self._has_head:
                self._unread_head -= len(data)
            self._parser.feed_data(data)
        except (OSError, httptools.HttpParserError) as error:
            raise AnswerCut(str(error)) from error

    # ---- what the parser says ----

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, its name in lower case."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.status = self._parser.get_status_code()
        self._has_head = True
        self._unread_head = _HEAD_BYTES_MAX

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._ended = True
        self.reusable = self._parser.should_keep_alive()


class Sibling:
    """One other serving process, and the connections to it that are kept for the next request."""

    def __init__(self, name: str, path: Path, clock: Clock) -> None:
        """`path` is its private socket; nothing is opened yet."""
        self.name = name
        self._path = path
        self._clock = clock
        self._idle: deque[SiblingConnection] = deque()
        self._waiting: set[asyncio.Timeout] = set()
        self._ending = False

    async def connect(self, within_s: float) -> SiblingConnection:
        """Return a connection that a living process has accepted; raise SiblingAway.

        While the process restarts this waits: in the backlog its supervisor keeps, or by trying.
        """
        while self._idle:
            kept = self._idle.pop()
            if kept.open and self._clock.monotonic() - kept.idle_since_s < _IDLE_S_MAX:
                return kept
            kept.close()
        return await self._connect_anew(within_s)

    async def _connect_anew(self, within_s: float) -> SiblingConnection:
        connection: SiblingConnection | None = None
        present = request_head("POST", PRESENT_PATH.encode(), [], b"")
        bound = asyncio.timeout(min(within_s, _ENDING_S) if self._ending else within_s)
        self._waiting.add(bound)
        try:
            async with bound:
                while True:
                    try:
                        opened = await asyncio.open_unix_connection(self._path, limit=_READ_BYTES)
                        connection = SiblingConnection(*opened)
                        await connection.send(present)
                        await connection.whole()
                        if connection.reusable and connection.open:
                            accepted, connection = connection, None
                            return accepted
                        connection.close()  # it is ending
                    except (OSError, AnswerCut):
                        if connection is not None:
                            connection.close()
                    await asyncio.sleep(_TRY_AGAIN_S)
        except TimeoutError:
            raise SiblingAway(f"{self.name}: not within {within_s:g} s") from None
        finally:
            self._waiting.discard(bound)
            if connection is not None:
                connection.close()

    def put_back(self, connection: SiblingConnection) -> None:
        """Keep a connection whose exchange is over for the next one, or close it.

        The one used last is used next, so those that only a burst needed grow old: they are closed.
        """
        now_s = self._clock.monotonic()
        if connection.reusable and connection.open and len(self._idle) < _IDLE_MAX:
            connection.idle_since_s = now_s
            self._idle.append(connection)
        else:
            connection.close()
        while self._idle and now_s - self._idle[0].idle_since_s >= _IDLE_S_MAX:
            self._idle.popleft().close()

    async def fetch(self, method: str, path: str, body: bytes, within_s: float) -> Fetched:
        """Return the whole answer to a request that may be repeated; raise SiblingAway."""
        request = request_head(method, path.encode(), [], body) + body
        try:
            async with asyncio.timeout(within_s):
                while True:
                    connection = await self.connect(within_s)
                    try:
                        await connection.send(request)
                        return await connection.whole()
                    except AnswerCut:
                        await asyncio.sleep(_TRY_AGAIN_S)
                    finally:
                        self.put_back(connection)
        except TimeoutError:
            raise SiblingAway(f"{self.name}: not within {within_s:g} s") from None

    def stop_waiting(self) -> None:
        """Give a sibling that does not answer only a moment from now on: this process ends."""
        self._ending = True
        for bound in self._waiting:
            bound.reschedule(asyncio.get_running_loop().time() + _ENDING_S)

    def close(self) -> None:
        """Close the connections that are kept."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class Siblings:
    """The other serving processes of this node, by name."""

    def __init__(self, sockets: Mapping[str, Path], clock: Clock) -> None:
        """`sockets` are the private sockets of the others; this process is not among them."""
        self._by_name = {name: Sibling(name, path, clock) for name, path in sockets.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the others."""
        return tuple(self._by_name)

    def __getitem__(self, name: str) -> Sibling:
        return self._by_name[name]

    async def ask(self, path: str, body: bytes, within_s: float = ASK_S) -> list[bytes]:
        """Return every sibling's answer to `POST path`, one of gateway's internal routes.

        Raises SiblingAway when one of them does not answer with a 200 within `within_s` seconds:
        what it knows is not known then. The question may reach a sibling twice.
        """
        asked = [one.fetch("POST", path, body, within_s) for one in self._by_name.values()]
        answers = []
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
            if answer.status != 200:
                raise SiblingAway(f"{path}: {answer.status}")
            answers.append(answer.body)
        return answers

    def stop_waiting(self) -> None:
        """Wait no longer for siblings that are away, which may be ending like this process."""
        for sibling in self._by_name.values():
            sibling.stop_waiting()

    def close(self) -> None:
        """Close every connection that is not in use."""
        for sibling in self._by_name.values():
            sibling.close()


async def present(_door: object, _body: bytes) -> bytes:
    """Say that a living process has accepted the connection this came by."""
    return b""


def request_head(method: str, target: bytes, headers: Headers, body: bytes) -> bytes:
    """Return the head of a request; `headers` has neither a host nor a length."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), target), b"host: sibling"]
    lines += [b"%b: %b" % header for header in headers]
    if body or method != "GET":
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""])
