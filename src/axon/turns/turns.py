"""START HERE: the life of a turn.

    accept   resolve the model, begin the conversation's turn, fit the history,
             submit to inference, and meanwhile seal, journal, fsync
    drive    relay what the engine says
    end      journal the whole turn, fsync, and only then send the terminal event:
             the acknowledgement

`accepting`, `driving` and `ending` each hold one of these, `recovery` what a crash needs; this file
holds them together.
"""

from collections import OrderedDict

from axon.journal import Mark
from axon.telemetry import log
from axon.turns.accepting import accept
from axon.turns.driving import drive
from axon.turns.ending import ended_durably, let_go
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
        self._running: dict[str, RunningTurn] = {}
        self._open: OrderedDict[str, int] = OrderedDict()
        """Turns without a durable end, and where they were accepted; in that order."""
        self._starting = 0
        self._draining = False

    def __len__(self) -> int:
        """Return how many turns are running."""
        return len(self._running)

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
        self._open[turn.head.turn_id] = turn.accepted_at.sequence
        return turn

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
            if ended_durably(turn):
                del self._open[turn_id]
            self._mark_unfinished()

    def _mark_unfinished(self) -> None:
        """Tell the next process from where on to look for turns this one left open.

        With none open, and none whose acceptance is being journaled, it need look at nothing.
        """
        oldest = next(iter(self._open.values()), None)
        if oldest is not None:
            self._unfinished.set(oldest)
        elif not self._starting:
            self._unfinished.set(self._rooms.journal.durable_through + 1)

    async def recover(self, left_open: list[OpenTurn]) -> None:
        """Bring the turns a dead process left open to their end; call before serving.

        Returns when each is either durably ended or on its way to run again. Raises JournalError
        when the endings cannot be written.
        """
        now_us = self._rooms.clock.now_us()
        over = [left for left in left_open if not runs_again(left, now_us, self._options)]
        again = [left for left in left_open if runs_again(left, now_us, self._options)]
        for left in again:
            self._open[left.turn_id] = left.location.sequence
        await end_as_interrupted(self._rooms, over)
        for left in again:
            self._rooms.tasks.start(self._run_again(left), f"turn {left.turn_id} again")

    async def _run_again(self, left: OpenTurn) -> None:
        try:
            turn = await reopen(self._rooms, self._options, left)
        except Exception as error:  # noqa: BLE001 - a turn that cannot run again is ended
            log.warning("turn.not-run-again", "A turn is ended.", error__message=repr(error))
            await end_as_interrupted(self._rooms, [left])
            del self._open[left.turn_id]
            return
        self._running[left.turn_id] = turn
        await self._drive(turn)

    async def drain(self, within_s: float) -> int:
        """Take no more turns, wait for the running ones, end the rest as interrupted.

        Returns how many did not end by themselves within `within_s` seconds.
        """
        self._draining = True
        return await self._rooms.tasks.finish(within_s)
