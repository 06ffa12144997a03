"""The journal's carrier without a thread: each write and each flush is a step of its process."""

from axon.journal import Batches, Location, Waiter
from tests.simulation.world import Process

_LOOK_EVERY_S = 1.0


class SimulatedCarrier:
    """Does what the writer's thread does, a flush taking its time."""

    def __init__(self, process: Process, batches: Batches) -> None:
        self._process = process
        self._batches = batches
        self._waiting: list[list[Waiter]] = []
        self._busy = False
        self._failed = False
        self._look_around()

    def put(self, batch: list[Waiter] | None) -> None:
        assert batch is not None, "simulated processes are killed, never closed"
        self._waiting.append(batch)
        if not self._busy:
            self._busy = True
            self._process.call_later(self._process.world.between(0.00002, 0.002), self._write)

    def join(self, within_s: float) -> bool:
        raise AssertionError("simulated processes are killed, never closed")

    def _look_around(self) -> None:
        if not self._failed:
            if not self._busy:
                try:
                    self._batches.look_around()
                except OSError as error:
                    self._fail(error, [])
            self._process.call_later(_LOOK_EVERY_S, self._look_around)

    def _write(self) -> None:
        batch = [waiter for gathered in self._waiting for waiter in gathered]
        self._waiting.clear()
        if self._failed:
            self._busy = False
            self._batches.fail(batch)
            return
        try:
            self._batches.look_around()
            locations = self._batches.write(batch)
        except OSError as error:
            self._fail(error, batch)
            return
        self._process.call_later(
            self._process.world.between(0.0002, 0.02), self._flush, batch, locations
        )

    def _flush(self, batch: list[Waiter], locations: list[Location]) -> None:
        try:
            self._batches.flush(batch, locations)
        except OSError as error:
            self._fail(error, batch)
            return
        self._busy = False
        if self._waiting:
            self._busy = True
            self._process.call_soon(self._write)

    def _fail(self, error: OSError, batch: list[Waiter]) -> None:
        self._failed = True
        self._batches.give_up(error, batch)
        self._process.call_soon(self._write)
