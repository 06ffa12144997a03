"""START HERE: the life of a turn.

    accept   resolve the model, begin the conversation's turn, fit the history, seal, journal, fsync
    drive    submit to inference, relay what comes back, journal the whole turn, fsync
    tell     send the terminal event: the acknowledgement

`accepting`, `driving` and `recovery` each hold one of these; this file holds them together.
"""

from collections import OrderedDict

from axon.journal import Mark
from axon.turns.accepting import accept
from axon.turns.driving import drive
from axon.turns.failures import Draining, TooManyTurns
from axon.turns.measures import measure
from axon.turns.recovery import OpenTurn, end_as_interrupted, reopen, runs_again
from axon.turns.request import RunningTurn, TurnRequest
from axon.turns.rooms import TurnOptions, TurnRooms


class Turns:
    """Takes turns and brings every accepted one to its end; one per process."""

    def __init__(self, rooms: TurnRooms, options: TurnOptions, unfinished: Mark) -> None:
        """`unfinished` is the shared mark below which no accepted turn is still open."""
        self._rooms = rooms
        self._options = options
        self._unfinished = unfinished
        self._running: OrderedDict[str, RunningTurn] = OrderedDict()
        self._starting = 0
        self._draining = False

    def __len__(self) -> int:
        """Return how many turns are running."""
        return len(self._running)

    def running(self, turn_id: str) -> RunningTurn | None:
        """Return the turn while it runs in this process."""
        return self._running.get(turn_id)

    async def start(self, request: TurnRequest) -> RunningTurn:
        """Return the running turn once its acceptance is durable.

        The turn then goes on whatever becomes of the caller. Raises what `accept` raises, and
        Draining or TooManyTurns; nothing was accepted then.
        """
        turn = await self._accept(request)
        self._rooms.tasks.start(self._drive(turn), f"turn {turn.head.turn_id}")
        return turn

    async def run(self, request: TurnRequest) -> RunningTurn:
        """Return the turn once it has ended: `start` for a caller with nothing to do meanwhile.

        Raises the same. The turn ends as interrupted when the caller is cancelled.
        """
        turn = await self._accept(request)
        await self._drive(turn)
        return turn

    async def _accept(self, request: TurnRequest) -> RunningTurn:
        if self._draining:
            raise Draining
        if len(self._running) + self._starting >= self._options.running_max:
            raise TooManyTurns
        self._starting += 1
        try:
            turn = await accept(self._rooms, self._options, request)
        finally:
            self._starting -= 1
        self._running[turn.head.turn_id] = turn
        return turn

    async def _drive(self, turn: RunningTurn) -> None:
        try:
            await drive(self._rooms, self._options, turn)
        finally:
            measure(turn, self._rooms.clock)
            del self._running[turn.head.turn_id]
            self._mark_unfinished()

    def _mark_unfinished(self) -> None:
        """Tell the next process from where on to look for turns this one left open.

        The oldest running turn stands first. With none running the mark stays: a turn whose
        acceptance is being journaled right now lies above every place it has had.
        """
        oldest = next(iter(self._running.values()), None)
        if oldest is not None and oldest.accepted_at is not None:
            self._unfinished.set(oldest.accepted_at.sequence)

    async def recover(self, left_open: list[OpenTurn]) -> None:
        """Bring the turns a dead process left open to their end; call before serving.

        Returns when each is either durably ended or running again and first in line for its
        conversation. Raises JournalError when the endings cannot be written.
        """
        now_us = self._rooms.clock.now_us()
        over = [left for left in left_open if not runs_again(left, now_us, self._options)]
        await end_as_interrupted(self._rooms, over)
        for left in left_open:
            if left not in over:
                self._rooms.tasks.start(self._run_again(left), f"turn {left.turn_id} again")

    async def _run_again(self, left: OpenTurn) -> None:
        turn = await reopen(self._rooms, self._options, left)
        if turn is not None:
            self._running[turn.head.turn_id] = turn
            await self._drive(turn)

    async def drain(self, within_s: float) -> int:
        """Take no more turns, wait for the running ones, end the rest as interrupted.

        Returns how many did not end by themselves within `within_s` seconds.
        """
        self._draining = True
        return await self._rooms.tasks.finish(within_s)
