"""A retry is not a new turn: requests that were made before find what became of them.

One with an Idempotency-Key finds its turn for at least a day, also after a restart. The SDK's own
retries carry no key, only their count: such a request is matched with an earlier one of the same
credential and person with the same body, made a short while ago. Each earlier one is matched once,
so two people who say the same thing never share an answer.
"""

import asyncio
import functools
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.conversations import Claim, RequestKey, StoredTurn, TurnNotFound
from axon.records import Record, TurnAccepted
from axon.turns.failures import TurnError
from axon.turns.request import RunningTurn, TurnRequest
from axon.turns.rooms import TurnRooms
from axon.turns.waiting import Asked, Waiting

RETRY_WINDOW_S = 120.0
"""How long a request waits for its retry. The SDK waits at most eight seconds before one, and its
server may need some to start again."""

ATTEMPTS_MAX = 50_000
"""Requests remembered at once, at some 300 bytes each; beyond it the oldest are forgotten."""

_RECOVERY_WAIT_S = 10.0
_LOOK_EVERY_S = 0.05

_MAC_BYTES = 16


class Recovering(TurnError):
    """The turn of an earlier try is being recovered; please retry."""


def body_mac(rooms: TurnRooms, request: TurnRequest) -> bytes:
    """Return what tells whether two requests ask for the same."""
    mac = _keyed(rooms.identity, request.surface).copy()
    mac.update(request.body)
    return mac.digest()


@functools.cache  # one secret, a handful of surfaces
def _keyed(identity: bytes, surface: str) -> "hashlib.blake2s":
    """Return the state that every hash of a body on this surface begins with."""
    return hashlib.blake2s(key=identity, digest_size=_MAC_BYTES, person=surface.encode()[:8])


def asked_mac(rooms: TurnRooms, asked: bytes) -> bytes:
    """Return the same for a request that is no turn's."""
    return hashlib.blake2s(asked, key=rooms.identity, digest_size=_MAC_BYTES).digest()


def key_mac(rooms: TurnRooms, key: str) -> bytes:
    """Return what stands for an Idempotency-Key in records and tables."""
    return hashlib.blake2s(key.encode(), key=rooms.identity, digest_size=_MAC_BYTES).digest()


class Try(NamedTuple):
    """What tells whether a request without a key is one that was made before."""

    credential_id: str
    user: int
    body_mac: bytes
    number: int


_Place = tuple[str, int, bytes]
"""Whose requests ask for the same: credential, person, hash of the body."""


class _Attempt(msgspec.Struct, frozen=True, gc=False):
    """One request that was accepted, or attached to the turn of an earlier one."""

    turn_id: str
    number: int
    at_s: float
    place: _Place


CarryOut = Callable[[TurnRequest, Callable[[RunningTurn], None]], Awaitable[RunningTurn]]
"""Makes a turn of a request; the second is told of it once it is accepted."""


class Retries:
    """The requests of this process that may come again."""

    def __init__(self, rooms: TurnRooms, find: Callable[[str], RunningTurn | None]) -> None:
        """`find` returns a turn while it runs."""
        self._rooms = rooms
        self._find = find
        self._attempts: dict[_Place, deque[_Attempt]] = {}
        self._waiting: dict[Asked, list[Waiting]] = {}
        self._oldest_first: deque[_Attempt] = deque()
        self._unsorted: deque[_Attempt] = deque(maxlen=ATTEMPTS_MAX)
        """The newest requests, not yet in the two above: most are never asked for."""

    def note(self, turn: RunningTurn) -> None:
        """Remember the request of a turn that was just accepted."""
        request = turn.request
        place = (request.credential_id, request.user, turn.body_mac)
        now_s = self._rooms.clock.monotonic()
        self._remember(_Attempt(turn.head.turn_id, request.attempt, now_s, place))

    def _remember(self, attempt: _Attempt) -> None:
        """Add the newest request and forget those too old; most are never looked for."""
        unsorted = self._unsorted
        while unsorted and attempt.at_s - unsorted[0].at_s > RETRY_WINDOW_S:
            unsorted.popleft()
        unsorted.append(attempt)

    def waiting(self, request: TurnRequest) -> Waiting:
        """Return the request, to be known while it has no turn."""
        asked = (request.credential_id, request.user, request.surface, request.body)
        return Waiting(self._waiting, asked, request.attempt)

    async def _still_waiting(self, request: TurnRequest) -> RunningTurn | StoredTurn | None:
        """Return the turn that an earlier try gets, if one is still without.

        Each is matched once; in its place waits who matched it, for whom the next retry may look.
        """
        asked = (request.credential_id, request.user, request.surface, request.body)
        number = request.attempt
        for one in [one for one in self._waiting.get(asked, ()) if one.number < number]:
            if one.over or one.number >= number:
                continue  # or matched by another, while this one waited
            one.number = number
            turn = await one.turn()
            if turn is not None:
                return turn
        return None

    def note_record(self, record: Record) -> None:
        """Remember the request of a turn that the process before accepted."""
        if not isinstance(record, TurnAccepted):
            return
        head = record.head
        age_s = (self._rooms.clock.now_us() - head.accepted_us) / MICROS_PER_SECOND
        if age_s < RETRY_WINDOW_S:
            place = (head.credential_id, head.user, record.body_mac)
            now_s = self._rooms.clock.monotonic()
            self._remember(_Attempt(head.turn_id, record.attempt, now_s, place))

    def _sort(self) -> None:
        """Put the newest requests where they are found by what they ask; forget the oldest."""
        while self._unsorted:
            attempt = self._unsorted.popleft()
            self._oldest_first.append(attempt)
            self._attempts.setdefault(attempt.place, deque()).append(attempt)
        now_s = self._rooms.clock.monotonic()
        oldest_first = self._oldest_first
        while oldest_first and (
            now_s - oldest_first[0].at_s > RETRY_WINDOW_S or len(oldest_first) > ATTEMPTS_MAX
        ):
            old = oldest_first.popleft()
            same = self._attempts.get(old.place)
            if same is not None and old in same:
                same.remove(old)
                if not same:
                    del self._attempts[old.place]

    async def take(self, request: TurnRequest, carry_out: CarryOut) -> RunningTurn | StoredTurn:
        """Return the turn of an earlier try, or what `carry_out` makes of the request."""
        if request.idempotency_key is not None:
            return await self._by_key(request, carry_out)
        place = (request.credential_id, request.user, body_mac(self._rooms, request))
        earlier = await self._still_waiting(request)
        if earlier is not None:
            self._follow(_id_of(earlier), request.attempt, place)
            return earlier
        with self.waiting(request) as waiting:
            while (turn_id := self._match(place, request.attempt)) is not None:
                self._follow(turn_id, request.attempt, place)
                earlier = await self._earlier(request.org_id, turn_id)
                if earlier is not None and _can_be_told(earlier, request):
                    waiting.settle(earlier)
                    return earlier
            return await carry_out(request, waiting.settle)

    def _follow(self, turn_id: str, number: int, place: _Place) -> None:
        """Remember that try `number` of a request is about the turn of an earlier one.

        It takes the earlier one's place: each is matched once.
        """
        self._sort()
        same = self._attempts.get(place, deque())
        before = next((one for one in same if one.turn_id == turn_id), None)
        if before is not None:
            same.remove(before)
            if not same:
                del self._attempts[place]
        now_s = self._rooms.clock.monotonic()
        self._remember(_Attempt(turn_id, number, now_s, place))

    def known(self, one: Try) -> str:
        """Return the turn of an earlier try, "" when none is known; it stays to be taken."""
        self._sort()
        same = self._attempts.get((one.credential_id, one.user, one.body_mac), ())
        return next((attempt.turn_id for attempt in same if attempt.number < one.number), "")

    def _match(self, place: _Place, number: int) -> str | None:
        """Return the turn of an earlier try of this request: one that still runs, if there is."""
        self._sort()
        same = self._attempts.get(place, ())
        earlier = [attempt for attempt in same if attempt.number < number]
        if not earlier:
            return None
        running = [attempt for attempt in earlier if self._find(attempt.turn_id) is not None]
        return (running or earlier)[0].turn_id

    async def _by_key(self, request: TurnRequest, carry_out: CarryOut) -> RunningTurn | StoredTurn:
        keys = self._rooms.conversations.keys
        mac = key_mac(self._rooms, request.idempotency_key or "")
        key = RequestKey(request.user, mac, body_mac(self._rooms, request))
        claim = await keys.claim(key)
        if isinstance(claim, str):
            earlier = await self._earlier(request.org_id, claim)
            if earlier is not None:
                return earlier
            claim = await keys.claim(key, instead_of=claim)
            if isinstance(claim, str):  # somebody else was quicker to try again
                return await self._by_key(request, carry_out)
        try:
            return await carry_out(request, functools.partial(_settle, claim))
        finally:
            claim.release()

    async def _earlier(self, org_id: str, turn_id: str) -> RunningTurn | StoredTurn | None:
        """Return the turn while it runs or as it ended; None when it failed or left no trace."""
        rooms = self._rooms
        give_up_s = rooms.clock.monotonic() + _RECOVERY_WAIT_S
        while rooms.clock.monotonic() < give_up_s:
            running = self._find(turn_id)
            if running is not None:
                return running
            try:
                turn = await rooms.conversations.find_turn(org_id, turn_id)
            except TurnNotFound:
                turn = None
            if turn is not None and turn.status != "in_progress":
                return turn if _left_a_trace(turn) else None
            await asyncio.sleep(_LOOK_EVERY_S)
        raise Recovering


def _settle(claim: Claim, turn: RunningTurn) -> None:
    claim.settle(turn.head.turn_id, turn.accepted_at.sequence)


def _id_of(turn: RunningTurn | StoredTurn) -> str:
    return turn.head.turn_id if isinstance(turn, RunningTurn) else turn.turn_id


def _left_a_trace(turn: StoredTurn) -> bool:
    """Return whether carrying the request out again would make it a second turn.

    A turn that failed, or that a crash cut short, may have said something first: then question and
    answer stand in their conversation, and the retry is told how it ended.
    """
    if turn.status == "failed" or turn.reason == "crash":
        return bool(turn.output)
    return bool(turn.answer)


def _can_be_told(turn: RunningTurn | StoredTurn, request: TurnRequest) -> bool:
    """Return whether the answer can be given in the form asked for."""
    if isinstance(turn, RunningTurn) or not request.streamed:
        return True
    return turn.stored and turn.surface == "responses"  # of others the events are not kept
