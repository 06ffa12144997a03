"""Tries of one request that all wait for what became of the first."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from axon.base import SystemClock
from axon.conversations import Owner, StoredTurn, TurnNotFound
from axon.records import TokenUsage, TurnAccepted
from axon.turns.request import RunningTurn, TurnRequest
from axon.turns.retries import RETRY_WINDOW_S, Retries, Try, body_mac
from tests.records.examples import EXAMPLES

REQUEST = TurnRequest(
    org_id="org_1",
    user=7,
    credential_id="key_1",
    surface="responses",
    model="fake-model",
    streamed=True,
    stored=True,
    body=b"the same body",
    fields={},
)


def turn_of(turn_id: str) -> StoredTurn:
    """Return a turn that a crash ended before it said anything."""
    return StoredTurn(
        owner=Owner(org_id=REQUEST.org_id, user=REQUEST.user),
        turn_id=turn_id,
        conversation_id="conv_1",
        sequence=1,
        surface="responses",
        model=REQUEST.model,
        status="failed",
        reason="crash",
        stored=True,
        answer=b"",
        input=(),
        output=(),
        usage=TokenUsage(),
        accepted_us=1,
        completed_us=2,
    )


class Left:
    """A turn that a crash left open: it is in recovery until it has `ended` without a word."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.carried_out: list[int] = []
        self.carrying_out = asyncio.Event()
        self.gate = asyncio.Event()

    async def find_turn(self, org_id: str, turn_id: str) -> StoredTurn:
        if not self.ended.is_set():
            raise TurnNotFound
        return turn_of(turn_id)

    async def carry_out(
        self, request: TurnRequest, accepted: Callable[[RunningTurn], None] | None
    ) -> RunningTurn:
        """Wait for the conversation, then become a turn, named for the try that became it."""
        self.carried_out.append(request.attempt)
        self.carrying_out.set()
        await self.gate.wait()
        turn = cast(RunningTurn, turn_of(f"resp_{request.attempt}"))
        assert accepted is not None
        accepted(turn)
        return turn


def retries_after_a_crash(left: Left) -> Retries:
    rooms = SimpleNamespace(clock=SystemClock(), identity=b"i" * 32, conversations=left)
    retries = Retries(cast(Any, rooms), lambda turn_id: None)
    example = EXAMPLES[1]
    assert isinstance(example, TurnAccepted)
    head = msgspec.structs.replace(
        example.head,
        user=REQUEST.user,
        credential_id=REQUEST.credential_id,
        accepted_us=SystemClock().now_us(),
    )
    mac = body_mac(cast(Any, rooms), REQUEST)
    record = msgspec.structs.replace(example, head=head, body_mac=mac, attempt=0)
    retries.note_record(record)
    return retries


@pytest.mark.parametrize("ends_behind", [1, 2, 3])
async def test_tries_that_wait_for_a_turn_without_a_trace_become_one(ends_behind: int) -> None:
    """Each try's client was cut off while it waited; whoever comes when, one turn is made."""
    left = Left()
    retries = retries_after_a_crash(left)
    tries = []
    for number in (1, 2, 3):
        again = msgspec.structs.replace(REQUEST, attempt=number)
        tries.append(asyncio.ensure_future(retries.take(again, left.carry_out)))
        await asyncio.sleep(0)  # it waits now
        if number == ends_behind:
            left.ended.set()
            await left.carrying_out.wait()
    left.gate.set()
    turns = await asyncio.gather(*tries)
    assert left.carried_out == [1]
    assert {cast(StoredTurn, turn).turn_id for turn in turns} == {"resp_1"}


async def test_a_try_whose_client_left_is_still_found_by_the_one_after_the_next() -> None:
    left = Left()
    retries = retries_after_a_crash(left)
    first = asyncio.ensure_future(
        retries.take(msgspec.structs.replace(REQUEST, attempt=1), left.carry_out)
    )
    await asyncio.sleep(0)
    second = asyncio.ensure_future(
        retries.take(msgspec.structs.replace(REQUEST, attempt=2), left.carry_out)
    )
    await asyncio.sleep(0)
    second.cancel()
    third = asyncio.ensure_future(
        retries.take(msgspec.structs.replace(REQUEST, attempt=3), left.carry_out)
    )
    await asyncio.sleep(0)
    left.ended.set()
    left.gate.set()
    assert await first is await third
    assert left.carried_out == [1]


class Passing(SystemClock):
    """A monotonic clock that a test lets run ahead."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


def test_a_request_too_old_for_its_retry_is_forgotten_without_one() -> None:
    """Else each process keeps its last 50,000 for ever, and most clients never try again."""
    clock = Passing()
    retries = Retries(cast(Any, SimpleNamespace(clock=clock)), lambda turn_id: None)

    def accept(number: int) -> None:
        turn = SimpleNamespace(
            request=REQUEST, body_mac=b"%d" % number, head=SimpleNamespace(turn_id=f"resp_{number}")
        )
        retries.note(cast(Any, turn))

    def known(number: int) -> str:
        return retries.known(Try(REQUEST.credential_id, REQUEST.user, b"%d" % number, 1))

    for number in range(100):
        accept(number)
    clock.ahead_s = RETRY_WINDOW_S + 1
    accept(100)
    assert len(retries._unsorted) == 1
    assert (known(99), known(100)) == ("", "resp_100")
