"""Turns that were answered without their history get their place in it afterwards.

Such a turn is durable like any other, under a conversation and without a sequence. Once the stores
can say what came before it, its end is journaled again, at the place it takes. The journal alone
decides whether that has happened, so it happens once, whatever dies in between.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from axon.conversations.errors import (
    ConversationBusy,
    ConversationNotFound,
    HistoryUnavailable,
    TurnNotFound,
)
from axon.conversations.finding import Finding
from axon.conversations.history import HistoryTurn, WindowTurn
from axon.conversations.leasing import History, Leasing
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.recording import WritingParts
from axon.conversations.resealing import Ended, Resealing
from axon.conversations.values import Begun, Owner, UnplacedTurn
from axon.journal import JournalError, Location
from axon.records import Record, TurnCompleted, TurnInterrupted, encode
from axon.stores import Postgres
from axon.telemetry import counter, log

PLACE_EVERY_S = 0.5
"""How often is looked whether turns can have their places; a look costs microseconds."""

PLACE_AT_ONCE = 8
"""Conversations whose turns are placed together: they share an fsync, and leave PostgreSQL to
others, which come back from the same outage."""

PLACE_WAIT_S = 2.0
"""How long the turns of one conversation wait for one that runs there; then they are tried anew."""

KNOWN_TURNS_MAX = 64
"""Turns without a place that the next one is told of: an outage is not to make turns slow."""

_PASSING = (ConversationBusy, HistoryUnavailable, JournalError)
"""What keeps turns from their places for a while."""

_placed = counter("axon_placed_turns_total", "Turns that got their place after they were answered")


class _Target(NamedTuple):
    """The place a turn gets."""

    begun: Begun
    ended: Ended
    """The turn's end as it is to be journaled there."""
    inside: bool
    """Whether the place is in the conversation whose line the caller is inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacingParts:
    """What placing stands on."""

    writing: WritingParts
    finding: Finding
    resealing: Resealing
    postgres: Postgres


class Placing:
    """Gives turns their places, one conversation at a time and in the order they were taken."""

    def __init__(self, parts: PlacingParts) -> None:
        """Let leasing place what waits before a turn begins."""
        self._parts = parts
        self._leasing: Leasing = parts.writing.leasing
        self._tail = parts.writing.tail
        self._settling: dict[str, asyncio.Task[None]] = {}
        """Of turns whose place is being journaled; bounded as the line is, one a conversation."""
        self._leasing.place_waiting = self._place_all

    async def begin(self, turn: UnplacedTurn, wait_s: float) -> Begun:
        """Return a turn that gets its place later; see Conversations.begin_without_history."""
        return await self._leasing.begin_unplaced(turn, wait_s, lambda: self._known(turn))

    async def settle(self, conversation_id: str, wait_s: float) -> None:
        """Return when no ended turn of the conversation is without a place.

        Waits for those that run there. Raises ConversationBusy after `wait_s` seconds and what
        keeps a turn from its place, HistoryAway above all.
        """
        deadline = self._parts.writing.clock.monotonic() + wait_s
        async with self._leasing.inside(conversation_id, wait_s):
            await self._place_all(conversation_id, deadline)

    async def settle_turn(self, owner: Owner, turn_id: str, wait_s: float) -> None:
        """Return when the person's turn, if it has ended, has its place; raises as `settle`."""
        conversation_id = self._parts.finding.unplaced_in(owner, turn_id)
        if conversation_id:
            await self.settle(conversation_id, wait_s)

    async def look_at(self, owner: Owner, conversation_id: str) -> None:
        """Return when the person may look at the conversation, and all its turns have places.

        Raises ConversationNotFound for a stranger, and HistoryUnavailable when they must wait.
        """
        self._leasing.refuse_stranger(owner, conversation_id)
        if conversation_id not in self._tail.unplaced:
            return
        try:
            await self.settle(conversation_id, LOAD_TIMEOUT_S)
        except ConversationBusy as busy:
            raise HistoryUnavailable("turns of it wait for their places") from busy

    async def keep_placing(self) -> None:
        """Give every turn its place as soon as that can be, until cancelled."""
        while True:
            await asyncio.sleep(PLACE_EVERY_S)
            if self._tail.unplaced.count and self._parts.postgres.available:
                await self.place_now()

    async def place_now(self) -> None:
        """Try once to give each waiting turn its place."""
        waiting = iter(self._tail.unplaced.conversations())
        while batch := list(islice(waiting, PLACE_AT_ONCE)):
            tries = (self.settle(conversation_id, PLACE_WAIT_S) for conversation_id in batch)
            _report(await asyncio.gather(*tries, return_exceptions=True))

    async def _known(self, turn: UnplacedTurn) -> History:
        """Return the turns without a place that this one continues, opened."""
        locations = list(self._tail.unplaced.turns(turn.conversation_id).values())
        records = _ended(await self._tail.read_at(locations[-KNOWN_TURNS_MAX:]))
        before = [
            WindowTurn(one.head.turn_id, 0, [*one.input, *one.output])
            for one in _continued(records, turn.follows)
        ]
        opener = self._parts.resealing.opener
        return await opener.open_turns(turn.owner, turn.conversation_id, before)

    async def _place_all(self, conversation_id: str, deadline: float) -> None:
        """Place the conversation's turns in their order; for who is inside its line."""
        for turn_id, location in self._tail.unplaced.turns(conversation_id).items():
            settling = self._settling.get(turn_id)
            if settling is None:
                [record] = _ended(await self._tail.read_at([location]))
                settling = await self._place(record, deadline)
            await asyncio.shield(settling)

    async def _place(self, ended: Ended, deadline: float) -> "asyncio.Task[None]":
        """Journal the turn's end at its place; return the task that waits until it is durable.

        From the append on nothing may stop it: a caller that goes away does not.
        """
        writing = self._parts.writing
        writing.journal.admit()
        target = await self._target(ended, deadline)
        try:
            durable = writing.journal.append(*encode(target.ended))
        except BaseException:
            await self._let_go(target)
            raise
        turn_id = ended.head.turn_id
        settling = writing.tasks.start(self._settle(target, durable), f"place {turn_id}")
        self._settling[turn_id] = settling
        settling.add_done_callback(lambda _: self._settling.pop(turn_id))
        return settling

    async def _settle(self, target: _Target, durable: "asyncio.Future[Location]") -> None:
        begun, ended = target.begun, target.ended
        self._tail.note(ended, await durable)
        turn = WindowTurn(ended.head.turn_id, begun.sequence, [*ended.input, *ended.output])
        if not self._leasing.still_owned(begun):
            log.error("turn.place-lost", "A turn was placed under a lease that had run out.")
        if target.inside:
            await self._leasing.close(begun, turn)
        else:
            await self._leasing.commit(begun, turn)
        self._parts.finding.remember(ended.head.turn_id)
        _placed.inc()

    async def _let_go(self, target: _Target) -> None:
        if target.inside:
            self._leasing.release(target.begun)
        else:
            await self._leasing.abort(target.begun)

    async def _target(self, ended: Ended, deadline: float) -> _Target:
        """Return the place the turn gets: where it was to go, or in a conversation of its own.

        The latter when its conversation was deleted before, or what it follows is not the end of
        a conversation any more, as for any response that continues an older one.
        """
        head = ended.head
        owner = Owner(org_id=head.org_id, user=head.user)
        last, conversation_id = None, head.conversation_id
        try:
            if head.follows:
                place = await self._parts.finding.locate(owner, head.follows)
                last, conversation_id = place.sequence, place.conversation_id
            inside = conversation_id == head.conversation_id
            if inside:
                begun = await self._leasing.take(owner, conversation_id, deadline)
            else:
                wait_s = max(0.0, deadline - self._parts.writing.clock.monotonic())
                begun = await self._leasing.begin(owner, conversation_id, wait_s)
        except (ConversationNotFound, TurnNotFound):
            return await self._own(owner, ended, ())
        target = _Target(begun, ended, inside)
        try:
            if last is None or begun.sequence == last + 1:
                moved = await self._parts.resealing.moved(ended, begun)
                return target._replace(ended=moved)
        except BaseException:
            await self._let_go(target)
            raise
        await self._let_go(target)
        earlier = [turn for turn in begun.history if turn.sequence <= last]
        return await self._own(owner, ended, earlier)

    async def _own(self, owner: Owner, ended: Ended, earlier: Sequence[HistoryTurn]) -> _Target:
        """Return the first place of a new conversation, which begins with what came earlier."""
        head = ended.head
        name = self._parts.writing.mint.mint("conv", owner.org_id, owner.user, beside=head.turn_id)
        begun = self._leasing.start(owner, name)
        try:
            moved = await self._parts.resealing.moved(ended, begun, earlier)
        except BaseException:
            await self._leasing.abort(begun)
            raise
        return _Target(begun, moved, inside=False)


def _ended(records: Sequence[Record]) -> list[Ended]:
    return [record for record in records if isinstance(record, TurnCompleted | TurnInterrupted)]


def _continued(records: Sequence[Ended], follows: str) -> list[Ended]:
    """Return those of a conversation's turns that the next one continues, in order.

    That is the way back from the response it `follows`, else from the conversation's end: a turn
    that follows another than the last will stand in a conversation of its own.
    """
    before: dict[str, tuple[Ended, str]] = {}
    last = ""
    for record in records:
        turn_id, previous = record.head.turn_id, record.head.follows
        before[turn_id] = (record, previous or last)
        if previous == last or not previous:
            last = turn_id
    found, turn_id = [], follows or last
    while turn_id in before:
        record, turn_id = before[turn_id]
        found.append(record)
    return found[::-1]


def _report(tries: Sequence[BaseException | None]) -> None:
    """Say once of each kind what does not pass by itself; the turns stay where they are."""
    failures = {type(error): error for error in tries if error is not None}
    for error in failures.values():
        if not isinstance(error, _PASSING):
            log.error("turn.not-placed", repr(error))
