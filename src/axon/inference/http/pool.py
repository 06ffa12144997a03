"""Kept-alive connections to one upstream."""

import asyncio

from axon.base import Clock, TaskOwner
from axon.inference.errors import ConnectFailed
from axon.inference.http.connection import AnswerSink, Connection, Exchange
from axon.inference.http.dial import dial
from axon.inference.http.target import Target

IDLE_MAX = 256
"""Connections kept open without a request; beyond it they are closed after their answer."""

IDLE_S_MAX = 55.0
"""A connection idle for longer is closed rather than used: middleboxes forget at 60 s or later."""

AGE_S_MAX = 300.0
"""An older connection is not kept, so that a changed DNS answer is followed within this time."""


class Pool:
    """Sends requests to one target on connections that are used again.

    How many are open at once is bounded by its caller's slots.
    """

    def __init__(self, target: Target, connect_timeout_s: float, clock: Clock, tasks: TaskOwner):
        """`tasks` owns the making of connections."""
        self.target = target
        self._connect_timeout_s = connect_timeout_s
        self._monotonic = clock.monotonic
        self._tasks = tasks
        self._idle: list[Connection] = []
        self._open = set[Connection]()

    @property
    def open_connections(self) -> int:
        """Return how many connections are open, idle ones included."""
        return len(self._open)

    def send(self, request: bytes, sink: AnswerSink) -> Exchange:
        """Send a whole request, at once when a connection is idle; does not block.

        The sink hears everything else, ConnectFailed included. A request whose kept-alive
        connection closes before the first byte of an answer is sent once more, on a fresh one.
        """
        exchange = Exchange(request, sink)
        connection = self._take_idle()
        if connection is not None:
            connection.begin(exchange)
        else:
            self._connect(exchange)
        return exchange

    def close(self) -> None:
        """Close every connection; exchanges under way break."""
        for connection in list(self._open):
            connection.close()

    # ---- what connections say ----

    def put_back(self, connection: Connection) -> None:
        """Keep the connection unless there are enough, or it is old."""
        now = connection.idle_since = self._monotonic()
        if len(self._idle) < IDLE_MAX and now - connection.born < AGE_S_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def lost(self, connection: Connection) -> None:
        """Forget the connection."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def send_again(self, exchange: Exchange) -> None:
        """Send on a connection that is certainly fresh."""
        self._connect(exchange)

    # ---- making connections ----

    def _take_idle(self) -> Connection | None:
        idle = self._idle
        while idle:
            connection = idle.pop()  # the one used last is the least likely to be stale
            if connection.open and self._monotonic() - connection.idle_since < IDLE_S_MAX:
                return connection
            connection.close()
        return None

    def _connect(self, exchange: Exchange) -> None:
        exchange.connecting = self._tasks.start(self._dial(exchange), "connect to upstream")

    async def _dial(self, exchange: Exchange) -> None:
        try:
            connection = await dial(self.target, self._make, self._connect_timeout_s)
        except ConnectFailed as error:
            exchange.connecting = None
            exchange.sink.on_broken(error)
            return
        if exchange.connecting is not asyncio.current_task():
            connection.close()  # aborted in the moment the connection was made
            return
        exchange.connecting = None
        if connection.open:
            self._open.add(connection)
            connection.begin(exchange)
        else:
            exchange.sink.on_broken(ConnectFailed("closed at once"))

    def _make(self) -> Connection:
        return Connection(self, self._monotonic())
