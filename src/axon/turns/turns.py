"""START HERE: the life of a turn.

    accept   resolve the model, begin the conversation's turn, fit the history,
             submit to inference, and meanwhile seal, journal, fsync
    drive    relay what the engine says
    end      journal the whole turn, fsync, and only then send the terminal event:
             the acknowledgement

`accepting`, `driving` and `ending` each hold one of these, `recovery` what a crash needs; this file
holds them together.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from axon.conversations import RequestKey, StoredTurn
from axon.journal import JournalError, Location, Mark
from axon.records import Record, TokenUsage
from axon.telemetry import log
from axon.turns.accepting import accept
from axon.turns.chunks import read_completion
from axon.turns.compacting import Asked, CompactedInput, compact_input
from axon.turns.counting import InputTokens, count_input, history_of
from axon.turns.driving import drive, watch
from axon.turns.ending import let_go
from axon.turns.failures import CompactionFailed, Draining, TooManyTurns
from axon.turns.interrupting import end_as_interrupted
from axon.turns.left_open import OpenTurn, runs_again
from axon.turns.measures import measure
from axon.turns.open_turns import OpenTurns
from axon.turns.recovery import OutputGone, output_of, reopen
from axon.turns.request import RunningTurn, TurnRequest
from axon.turns.retries import Retries, Try, asked_mac, body_mac, key_mac
from axon.turns.rooms import TurnOptions, TurnRooms
from axon.turns.titling import make_title

_PLACE_WITHIN_S = 10.0
"""How long a turn that only the bus can tell on may wait for its place: its followers wait too, and
the bus keeps an ended job's output no longer."""

_USAGE_WITHIN_S = 5.0
"""How long the engine of a cancelled turn whose answer is whole has to say its usage. It says that
with its last word or right behind it: one that takes longer hangs."""


class Turns:
    """Takes turns and brings every accepted one to its end; one per process."""

    def __init__(self, rooms: TurnRooms, options: TurnOptions, unfinished: Mark) -> None:
        """`unfinished` is the shared mark that `OpenTurns` keeps."""
        self._rooms = rooms
        self._options = options
        self._running: dict[str, RunningTurn] = {}
        self._open = OpenTurns(unfinished, rooms.journal.durable_through)
        self._retries = Retries(rooms, self.find)
        self._draining = False

    def __len__(self) -> int:
        """Return how many turns are running."""
        return len(self._running)

    def take(self, request: TurnRequest) -> Awaitable[RunningTurn | StoredTurn]:
        """Return the turn once its acceptance is durable; the turn of an earlier try of a retry.

        One that is told as it grows goes on whatever becomes of the caller; any other has ended
        when this returns, or was taken by an earlier try and is still running. Raises what
        `accept` raises, and Draining, TooManyTurns, KeyReused, KeysFull or Recovering; nothing was
        accepted then.
        """
        if request.idempotency_key is not None or request.attempt:
            return self._retries.take(request, self._carry_out)
        if request.conversation_id is None and request.previous_response_id is None:
            return self._carry_out(request)
        return self._take_in_line(request)

    async def _take_in_line(self, request: TurnRequest) -> RunningTurn:
        """Take a turn that may have to wait for those before it in its conversation."""
        with self._retries.waiting(request) as waiting:
            return await self._carry_out(request, waiting.settle)

    async def _carry_out(
        self, request: TurnRequest, accepted: Callable[[RunningTurn], None] | None = None
    ) -> RunningTurn:
        if self._draining:
            raise Draining
        if self._open.count >= self._options.running_max:
            raise TooManyTurns
        ticket = self._open.begin()
        try:
            turn = await accept(self._rooms, self._options, request, self._ask)
        except BaseException:
            self._open.drop(ticket)
            raise
        turn.ticket = ticket
        self._running[turn.head.turn_id] = turn
        self._retries.note(turn)
        if accepted is not None:
            accepted(turn)
        if turn.tells:
            self._rooms.tasks.start(self._drive(turn), f"turn {turn.head.turn_id}")
        else:
            await self._drive(turn)
        return turn

    async def _ask(self, request: TurnRequest) -> Asked:
        """Take a turn of our own and return what the model said; raise CompactionFailed."""
        turn = await self._carry_out(msgspec.structs.replace(request, ours=True))
        if turn.end is None or turn.end.failure is not None:
            raise CompactionFailed
        said = read_completion(turn.end.body).choices
        text = said[0].message.content if said and said[0].message is not None else None
        return Asked(text or "", turn.answer.usage or TokenUsage())

    def request_key(self, user: int, key: str, asked: bytes) -> RequestKey:
        """Return what stands for a request with an Idempotency-Key; `asked` is all it asks for."""
        return RequestKey(user, key_mac(self._rooms, key), asked_mac(self._rooms, asked))

    def try_of(self, request: TurnRequest) -> Try:
        """Return what tells whether the request was made before."""
        mac = body_mac(self._rooms, request)
        return Try(request.credential_id, request.user, mac, request.attempt)

    def known_try(self, one: Try) -> str:
        """Return the turn of an earlier try that this process has taken, "" when it knows none."""
        return self._retries.known(one)

    def note(self, record: Record, location: Location) -> None:
        """Know a record of the process before, so that its requests are recognised."""
        self._retries.note_record(record)
        self._rooms.conversations.keys.note(record, location.sequence)
        self._rooms.limits.note(record, location.sequence)

    def find(self, turn_id: str) -> RunningTurn | None:
        """Return the turn while it runs in this process."""
        return self._running.get(turn_id)

    async def watch(self, turn: RunningTurn) -> None:
        """Return when the stream may be followed by one more client; raise JournalError."""
        await watch(self._rooms, turn)

    def cancel(self, turn: RunningTurn) -> None:
        """Stop the engine; the turn ends as cancelled, with what was said so far.

        An answer that is already whole stays one, and its engine may still say what it used.
        """
        if not turn.cancelled:
            turn.cancelled = True
            asyncio.get_running_loop().call_soon(self._stop, turn)

    def _stop(self, turn: RunningTurn) -> None:
        """Stop the engine of a turn that has read all the engine had said before its cancel."""
        stop, turn_id = self._rooms.inference.cancel, turn.head.turn_id
        if turn.answer.complete:
            asyncio.get_running_loop().call_later(_USAGE_WITHIN_S, stop, turn_id)
        else:
            stop(turn_id)

    async def count_input(self, request: TurnRequest) -> InputTokens:
        """Return how long the input of such a turn would be; see `counting`."""
        return await count_input(self._rooms, self._options, request)

    async def compact(self, request: TurnRequest) -> CompactedInput:
        """Return what may stand for the request's input and all that came before it."""
        before = await history_of(self._rooms, self._options, request)
        return await compact_input(self._rooms, request, before, self._ask)

    async def title(self, about: TurnRequest, said: str) -> str:
        """Return a title for what was said; see `titling`."""
        return await make_title(about, said, self._ask)

    async def _drive(self, turn: RunningTurn) -> None:
        turn_id = turn.head.turn_id
        try:
            await drive(self._rooms, self._options, turn)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            log.error("turn.broken", "A turn could not be ended.", error__message=repr(error))
            await let_go(self._rooms, turn)
        finally:
            measure(turn, self._rooms.clock)
            del self._running[turn_id]
            if turn.ended_at:
                self._open.end(turn.ticket, turn.ended_at, self._rooms.conversations.unplaced_from)

    async def recover(self, left_open: list[OpenTurn]) -> None:
        """Bring the turns a dead process left open to their end; call before serving.

        Returns when each is either durably ended or on its way to run again. Raises JournalError
        when the endings cannot be written.
        """
        again = [left for left in left_open if self._may_go_on(left)]
        over = [left for left in left_open if not self._may_go_on(left)]
        tickets = [self._open.begin(left.location.sequence) for left in again]
        await end_as_interrupted(self._rooms, over)
        for left, ticket in zip(again, tickets, strict=True):
            self._rooms.tasks.start(self._run_again(left, ticket), f"turn {left.turn_id} again")

    def _may_go_on(self, left: OpenTurn) -> bool:
        """Return whether the turn runs again, or the bus may have the rest of its answer."""
        kept = self._rooms.inference.keeps_output and bool(left.accepted.head.conversation_id)
        return kept or self._runs_again(left)

    def _runs_again(self, left: OpenTurn) -> bool:
        return runs_again(left, self._rooms.clock.now_us(), self._options)

    async def _run_again(self, left: OpenTurn, ticket: int) -> None:
        """Take the turn's place again before anybody else can, then see what the engine said."""
        turn: RunningTurn | None = None
        try:
            async with asyncio.timeout(None if self._runs_again(left) else _PLACE_WITHIN_S):
                turn = await reopen(self._rooms, self._options, left)
            turn.output = await output_of(self._rooms, self._options, left.accepted)
            if turn.output is None and not self._runs_again(left):
                raise OutputGone
        except Exception as error:  # noqa: BLE001 - a turn that cannot run again is ended
            log.warning("turn.not-run-again", "A turn is ended.", error__message=repr(error))
            with suppress(JournalError):  # else it stays open, for the process after this one
                await end_as_interrupted(self._rooms, [left])
                self._open.drop(ticket)
            if turn is not None and turn.begun is not None:
                await self._rooms.conversations.abort(turn.begun)
            self._rooms.inference.cancel(left.turn_id)
            return
        turn.ticket = ticket
        turn.reattached = turn.output is not None
        turn.submitted_s = turn.progress_s = self._rooms.clock.monotonic()
        self._running[left.turn_id] = turn
        await self._drive(turn)

    async def drain(self, within_s: float) -> int:
        """Take no more turns, wait for the running ones, end the rest as interrupted.

        Returns how many did not end by themselves within `within_s` seconds.
        """
        self._draining = True
        return await self._rooms.tasks.finish(within_s)
