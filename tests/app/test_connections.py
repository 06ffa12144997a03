"""Who may stay connected: places, patience, and who gives way to whom."""

import asyncio
from typing import Any

import pytest

from axon.app.roles.connections import (
    IDLE_S,
    RESERVED_PLACES,
    ConnectionBounds,
    Connections,
    Owed,
    Place,
)
from axon.app.roles.http_server import FILES_OF_OUR_OWN, client_connections, raise_file_limit
from axon.app.roles.joined_writes import LINGER_S
from axon.app.settings import HttpSettings
from axon.base import SystemClock
from axon.gateway import Bodies
from axon.gateway.call import Call
from axon.gateway.problem import RequestRefused
from tests.inference.scene import HandClock

PLACES = 3
BOUNDS = ConnectionBounds(places=PLACES, head_s=10.0, body_s=20.0, unread_s=30.0)


class Peer:
    """A connection that notes what is done to it."""

    def __init__(self, table: Connections, owed: Owed = Owed.FIRST_REQUEST) -> None:
        self.owed = owed
        self.reading = True
        self.body_bytes = 0
        self.unsent = 0
        self.ended = ""
        self.place = Place.SERVED
        self.place = table.enter(self)

    def unsent_bytes(self) -> int:
        return self.unsent

    def late(self) -> None:
        self.ended = "late"

    def cut(self, why: str) -> None:
        self.ended = why


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def table(clock: HandClock) -> Connections:
    return Connections(BOUNDS, clock)


def ended_after(table: Connections, clock: HandClock, one: Peer) -> float:
    """Return after how many seconds, looking every second, a connection was let go."""
    started_s = clock.monotonic()
    for _ in range(200):
        clock.now += 1.0
        table.look()
        if one.ended:
            return clock.monotonic() - started_s
    raise AssertionError("it was never let go")


@pytest.mark.parametrize(
    ("owed", "patience_s"),
    [
        (Owed.FIRST_REQUEST, BOUNDS.head_s),
        (Owed.HEAD, BOUNDS.head_s),
        (Owed.NEXT_REQUEST, IDLE_S),
        (Owed.BODY, BOUNDS.body_s),
        (Owed.REST, LINGER_S),
    ],
)
def test_each_has_its_time(
    table: Connections, clock: HandClock, owed: Owed, patience_s: float
) -> None:
    one = Peer(table, owed)
    assert ended_after(table, clock, one) == patience_s
    assert one.ended == "late"


def test_a_body_has_longer_the_more_of_it_has_come(table: Connections, clock: HandClock) -> None:
    one = Peer(table, Owed.BODY)
    one.body_bytes = 40 * 1024
    assert ended_after(table, clock, one) == BOUNDS.body_s + 10.0


def test_a_body_that_waits_for_us_is_not_late(table: Connections, clock: HandClock) -> None:
    one = Peer(table, Owed.BODY)
    one.reading = False
    for _ in range(100):
        clock.now += 1.0
        table.look()
    assert not one.ended
    one.reading = True
    assert ended_after(table, clock, one) == BOUNDS.body_s


def test_who_has_paid_has_all_the_time_there_is(table: Connections, clock: HandClock) -> None:
    one = Peer(table)
    table.paid(one)
    clock.now += 10_000.0
    table.look()
    assert not one.ended
    one.owed = Owed.NEXT_REQUEST
    table.owes(one)
    assert ended_after(table, clock, one) == IDLE_S


def test_a_client_that_reads_too_little_is_cut(table: Connections, clock: HandClock) -> None:
    slow, steady = Peer(table), Peer(table)
    for one in (slow, steady):
        table.paid(one)
        one.unsent = 10_000_000
        table.unread(one)
    for _ in range(120):
        clock.now += 1.0
        steady.unsent -= 1024
        slow.unsent -= 1000
        table.look()
    assert (slow.ended, steady.ended) == ("slow client", "")
    table.caught_up(steady)
    clock.now += 1000.0
    table.look()
    assert steady.ended == ""


def test_the_one_idle_for_longest_makes_room(table: Connections, clock: HandClock) -> None:
    body, first, second = Peer(table, Owed.BODY), Peer(table), Peer(table)
    clock.now += 0.5
    table.owes(first)  # now idle for less long than the second
    clock.now += 0.5
    newcomer = Peer(table)
    assert newcomer.place is Place.SERVED
    assert (body.ended, first.ended, second.ended) == ("", "", "made room")


def test_without_room_there_is_a_reserve_and_then_nothing(
    table: Connections, clock: HandClock
) -> None:
    busy = [Peer(table) for _ in range(PLACES)]
    for one in busy:
        table.paid(one)
    reserve = [Peer(table) for _ in range(RESERVED_PLACES)]
    assert {one.place for one in reserve} == {Place.RESERVED}
    assert Peer(table).place is Place.NONE
    assert ended_after(table, clock, reserve[0]) == 2.0
    for one in reserve:
        table.leave(one)
    assert Peer(table).place is Place.RESERVED
    table.leave(busy[0])
    table.leave(busy[0])
    assert Peer(table).place is Place.RESERVED  # the one in the reserve counts still


async def test_the_watch_looks_by_itself() -> None:
    bounds = ConnectionBounds(places=1, head_s=0.001, body_s=1.0, unread_s=1.0)
    table = Connections(bounds, SystemClock())
    one = Peer(table)
    watch = asyncio.ensure_future(table.watch())
    while not one.ended:
        await asyncio.sleep(0.01)
    watch.cancel()


def test_clients_get_at_most_half_of_the_open_files() -> None:
    wanted = HttpSettings(connections_max=1000)
    for files_max, places in ((FILES_OF_OUR_OWN + 20, 10), (100_000, 1000), (10, 1)):
        table = client_connections(wanted, files_max, HandClock())
        peers = [Peer(table) for _ in range(places + 1)]
        assert [one.place for one in peers].count(Place.SERVED) == places


def test_the_process_may_open_what_the_system_allows() -> None:
    assert raise_file_limit() >= 1024


async def test_the_bodies_of_all_requests_have_one_bound() -> None:
    bodies = Bodies(100)

    def call(*pieces: bytes) -> Call:
        left = list(pieces)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: dict[str, Any]) -> None:
            raise AssertionError("nothing is sent")

        scope = {"method": "POST", "path": "/", "headers": []}
        return Call(scope, receive, send, "req_1", bodies)

    one, two = call(b"x" * 30, b"x" * 30), call(b"y" * 30, b"y" * 11)
    assert await one.body(1000) == b"x" * 60
    with pytest.raises(RequestRefused) as caught:
        await two.body(1000)
    problem = caught.value.problem
    assert (problem.status, problem.retry_after_ms) == (503, 1000)
    assert bodies.held_bytes == 90
    for held in (one, two, two):
        held.over()
    assert bodies.held_bytes == 0
    assert len(await call(b"z" * 100).body(1000)) == 100
