"""Who carries batches of entries to the disk: one thread, which waits so that the loop need not."""

import queue
import threading
from typing import Protocol

from axon.journal.format import Location
from axon.journal.space import SPACE_CHECK_EVERY_S
from axon.journal.writer import Waiter


class Batches(Protocol):
    """What is to be done with each batch, in this order and never for two at once; all block."""

    def look_around(self) -> None:
        """Do what is due without a batch, at least every SPACE_CHECK_EVERY_S; raises OSError."""
        ...

    def write(self, batch: list[Waiter]) -> list[Location]:
        """Hand the batch to the kernel; raises OSError."""
        ...

    def flush(self, batch: list[Waiter], locations: list[Location]) -> None:
        """Make it durable and tell its waiters; raises OSError."""
        ...

    def give_up(self, error: BaseException, batch: list[Waiter]) -> None:
        """Take note of the one failure there can be; what comes after it goes to `fail`."""
        ...

    def fail(self, batch: list[Waiter]) -> None:
        """Tell the waiters of a batch that comes after the failure."""
        ...

    def end(self) -> None:
        """Let go of the disk; nothing is called any more."""
        ...


class Carrier(Protocol):
    """Takes batches from the loop, which never waits for it."""

    def put(self, batch: list[Waiter] | None) -> None:
        """Carry the batch as soon as those before it have been; None is the last."""
        ...

    def join(self, within_s: float) -> bool:
        """Return whether the last batch was carried within so many seconds; blocks."""
        ...


class WriterThread:
    """The carrier of a real process. What waits when it comes back is the next batch, as one."""

    def __init__(self, batches: Batches) -> None:
        """Start the thread; from here on it alone calls `batches`."""
        self._batches = batches
        self._queue: queue.SimpleQueue[list[Waiter] | None] = queue.SimpleQueue()
        self._ending = False
        # A disk that hangs must not keep a failed process alive, hence a daemon.
        self._thread = threading.Thread(target=self._run, name="axon-journal", daemon=True)
        self._thread.start()

    def put(self, batch: list[Waiter] | None) -> None:
        """Queue the batch."""
        self._queue.put(batch)

    def join(self, within_s: float) -> bool:
        """Wait for the thread's end."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        batches = self._batches
        batch: list[Waiter] = []
        try:
            while not self._ending:
                batch = self._take()
                batches.look_around()
                if batch:
                    batches.flush(batch, batches.write(batch))
        except BaseException as error:  # noqa: BLE001 - the outermost frame of the thread
            batches.give_up(error, batch)
            while not self._ending:
                batches.fail(self._take())
        finally:
            batches.end()

    def _take(self) -> list[Waiter]:
        """Wait for entries and return all there are; none when it is only time to look around."""
        try:
            taken = [self._queue.get(timeout=SPACE_CHECK_EVERY_S)]
        except queue.Empty:
            return []
        taken += [self._queue.get_nowait() for _ in range(self._queue.qsize())]
        self._ending = taken[-1] is None
        return [waiter for gathered in taken for waiter in gathered or ()]
