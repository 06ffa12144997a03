"""The open connections of clients: how many there are, and how long each may keep us waiting.

One look a second goes over all of them, so that a request costs no timer of its own.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from axon.app.roles.joined_writes import LINGER_S
from axon.base import KIB, Clock
from axon.telemetry import counter, gauge

LOOK_EVERY_S = 1.0
"""How late a connection may be found late."""

IDLE_S = 75.0
"""How long a connection may rest between two requests: longer than the idle time-out of the usual
load balancers (60 s), so that they close first."""

IDLE_BEFORE_MAKING_ROOM_S = 1.0
"""When all places are taken, a newcomer gets the place of the one that has asked for nothing for
longest, and for at least this long."""

RESERVED_PLACES = 256
"""Connections beyond all places: they serve `/healthz`, `/readyz`, `/status` and `/metrics`, and
tell everyone else to come back. One more is closed without a word."""

RESERVED_S = 2.0
"""How long a connection in the reserve may take to say what it wants."""

BODY_BYTES_PER_S_MIN = 4 * KIB
"""A body that comes slower than this, on the whole, is given up."""

ANSWER_BYTES_PER_S_MIN = 1 * KIB
"""A client that reads slower than this is not there any more, or means no good."""

_open = gauge("axon_http_connections", "Open connections of clients.")
_closed = counter(
    "axon_http_connections_cut_total",
    "Connections ended by Axon before their client did, by why.",
    ("reason",),
)
_slow_clients = counter(
    "axon_slow_clients_cut_total", "Streams ended because their client did not read."
)


class Owed(Enum):
    """What a connection waits for from its client."""

    FIRST_REQUEST = auto()
    NEXT_REQUEST = auto()
    HEAD = auto()
    """The rest of a request's head."""
    BODY = auto()
    REST = auto()
    """The rest of a request that has its answer already; it is dropped."""


class Place(Enum):
    """Where a connection stands."""

    SERVED = auto()
    RESERVED = auto()
    NONE = auto()


class Connection(Protocol):
    """What is asked of a connection."""

    place: Place
    body_bytes: int
    """How much of the body that is arriving has arrived."""

    @property
    def owed(self) -> Owed:
        """What its client owes, while it is waited for."""
        ...

    @property
    def reading(self) -> bool:
        """Whether what the client sends is read now."""
        ...

    def unsent_bytes(self) -> int:
        """How much of the answers the client has not taken yet."""
        ...

    def late(self) -> None:
        """Say that the client took too long, where that can be said, and end."""
        ...

    def cut(self, why: str) -> None:
        """End at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBounds:
    """How many connections, and how patient we are."""

    places: int
    head_s: float
    """How long the head of a request may take, from its first byte or a connection's beginning."""
    body_s: float
    """How long a body may take, beside a second for each BODY_BYTES_PER_S_MIN of it."""
    unread_s: float
    """How long a client may take to read ANSWER_BYTES_PER_S_MIN for each second of it."""


class Connections:
    """The clients' connections of one process; used on the loop's thread alone."""

    def __init__(self, bounds: ConnectionBounds, clock: Clock) -> None:
        """Start with none."""
        self._bounds = bounds
        self._clock = clock
        self._open: set[Connection] = set()
        self._owing: dict[Connection, float] = {}
        """Since when each has owed us something, those that have for longest first."""
        self._unread: dict[Connection, tuple[float, int]] = {}
        """Since when each has not read enough, and what was unsent then."""
        _open.set_function(lambda: len(self._open))

    def enter(self, one: Connection) -> Place:
        """Return where a new connection stands; it owes its first request from now on."""
        now_s = self._clock.monotonic()
        place = Place.SERVED
        if len(self._open) >= self._bounds.places and not self._make_room(now_s):
            full = len(self._open) >= self._bounds.places + RESERVED_PLACES
            place = Place.NONE if full else Place.RESERVED
            _closed.labels("refused").inc()
        if place is not Place.NONE:
            self._open.add(one)
            self._owing[one] = now_s
        return place

    def leave(self, one: Connection) -> None:
        """Forget a connection that is closed; may be repeated."""
        self._open.discard(one)
        self._owing.pop(one, None)
        self._unread.pop(one, None)

    def owes(self, one: Connection) -> None:
        """From now on we wait for this client."""
        self._owing.pop(one, None)  # so that it goes to the end
        if one in self._open:
            self._owing[one] = self._clock.monotonic()

    def paid(self, one: Connection) -> None:
        """Its request is whole: the next move is ours."""
        self._owing.pop(one, None)

    def unread(self, one: Connection) -> None:
        """Its client does not read as fast as we send."""
        if one in self._open:
            self._unread[one] = (self._clock.monotonic(), one.unsent_bytes())

    def caught_up(self, one: Connection) -> None:
        """Its client has read nearly everything."""
        self._unread.pop(one, None)

    async def watch(self) -> None:
        """Let go of those that are late, for ever; run as a background task."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Let go of those that are late."""
        now_s = self._clock.monotonic()
        for one, since_s in list(self._owing.items()):
            if one.owed is Owed.BODY and not one.reading:
                self._owing[one] = since_s + LOOK_EVERY_S  # it waits for us
            elif now_s - since_s >= self._patience_s(one):
                _closed.labels(one.owed.name.lower()).inc()
                self._owing.pop(one, None)
                one.late()
        for one, (since_s, unsent) in list(self._unread.items()):
            if now_s - since_s < self._bounds.unread_s:
                continue
            if unsent - one.unsent_bytes() >= ANSWER_BYTES_PER_S_MIN * self._bounds.unread_s:
                self.unread(one)
            else:
                _slow_clients.inc()
                self._let_go(one, "slow client")

    def _patience_s(self, one: Connection) -> float:
        bounds = self._bounds
        owed = one.owed
        if owed is Owed.NEXT_REQUEST:
            patience_s = IDLE_S
        elif owed is Owed.BODY:
            patience_s = bounds.body_s + one.body_bytes / BODY_BYTES_PER_S_MIN
        elif owed is Owed.REST:
            patience_s = LINGER_S
        else:
            patience_s = bounds.head_s
        return patience_s if one.place is Place.SERVED else min(patience_s, RESERVED_S)

    def _make_room(self, now_s: float) -> bool:
        """Return whether a connection that asks for nothing has given up its place."""
        for one, since_s in self._owing.items():
            if now_s - since_s < IDLE_BEFORE_MAKING_ROOM_S:
                return False
            if one.place is Place.SERVED and one.owed not in (Owed.BODY, Owed.REST):
                self._let_go(one, "made room")
                return True
        return False

    def _let_go(self, one: Connection, reason: str) -> None:
        _closed.labels(reason.replace(" ", "_")).inc()
        self.leave(one)
        one.cut(reason)
