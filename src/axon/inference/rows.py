"""The jobs of a lane that wait in this process: a row for each class, and whose turn it is.

Rows that wait at the same time get slots in proportion to their weights, by start-time fair
queueing (Goyal, Vin and Cheng, 1996): each job has a start on a common scale, the next one of its
row comes a step later, the step is smaller the larger the row's weight, and the least start goes
first. A row that was empty begins at what the scale shows: nobody saves up turns or waits for ever.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from axon.inference.errors import QueueFull
from axon.inference.jobs import Job
from axon.inference.ports import Delivery

Waiting = TypeVar("Waiting", bound=Delivery)

_SCALE = 1 << 20
"""A step of weight 1: large, so that steps of whole numbers keep their proportions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much may wait in one lane for all rows together.

    A row with a share has beside it as much of its own as its weight says, in percent of this:
    those without one can never fill it.
    """

    jobs_max: int
    bytes_max: int


class Rows(Generic[Waiting]):
    """What waits in one lane; nothing blocks, and nothing takes longer when more jobs wait."""

    __slots__ = ("_room", "_rows", "_scale", "backlog")

    def __init__(self, room: Room) -> None:
        """Nothing waits."""
        self._room = room
        self._rows: dict[int, _Row[Waiting]] = {}
        self.backlog: list[_Row[Waiting]] = []
        """The rows in which jobs wait; a handful at most, and most often none."""
        self._scale = 0

    def __len__(self) -> int:
        """Return how many jobs wait."""
        return sum(len(row.jobs) for row in self.backlog)

    def admit(self, job: Job) -> None:
        """Raise QueueFull when neither the row's own part nor what all share has room for it."""
        if not self.backlog:
            return  # one job may be longer than all that may wait
        row, size = self._row(job), len(job.fields)
        own_left = len(row.jobs) < row.own_jobs
        if own_left and (not row.jobs or row.bytes + size <= row.own_bytes):
            return
        shared = sum(max(0, len(one.jobs) - one.own_jobs) for one in self.backlog)
        if shared >= self._room.jobs_max:
            raise QueueFull(job.model.alias)
        shared = sum(max(0, one.bytes - one.own_bytes) for one in self.backlog)
        if shared + size > self._room.bytes_max:
            raise QueueFull(f"{job.model.alias}: {shared} bytes wait")

    def add(self, delivery: Waiting) -> None:
        """Let a job wait behind the others of its row."""
        job = delivery.job
        row = self._row(job)
        if not row.jobs:
            row.start = max(row.start, self._scale)
            self.backlog.append(row)
        row.jobs[job.turn_id] = delivery
        row.bytes += len(job.fields)

    def add_first(self, deliveries: Iterable[Waiting]) -> None:
        """Let jobs wait before the others of their rows, in this order."""
        for delivery in reversed(list(deliveries)):
            self.add(delivery)
            self._row(delivery.job).jobs.move_to_end(delivery.job.turn_id, last=False)

    def pop(self) -> Waiting:
        """Return the job whose turn it is, which waits no more; there must be one."""
        backlog = self.backlog
        row = backlog[0] if len(backlog) == 1 else min(backlog, key=_turn)
        self._scale = row.start
        row.start += row.step
        _, delivery = row.jobs.popitem(last=False)
        self._left(row, delivery.job)
        return delivery

    def forget(self, turn_id: str) -> bool:
        """Drop the job of a turn; return False when none waits."""
        for row in self.backlog:
            delivery = row.jobs.pop(turn_id, None)
            if delivery is not None:
                self._left(row, delivery.job)
                return True
        return False

    def _left(self, row: "_Row[Waiting]", job: Job) -> None:
        row.bytes -= len(job.fields)
        if not row.jobs:
            self.backlog.remove(row)

    def _row(self, job: Job) -> "_Row[Waiting]":
        """Return the job's row; the newest job of a row says what its weight is."""
        row = self._rows.get(job.row)
        if row is None:
            row = self._rows[job.row] = _Row()
        if row.weight != job.weight:
            row.weight, row.step = job.weight, _SCALE // job.weight
            if job.row:
                row.own_jobs = max(1, self._room.jobs_max * job.weight // 100)
                row.own_bytes = self._room.bytes_max * job.weight // 100
        return row


class _Row(Generic[Waiting]):
    __slots__ = ("bytes", "jobs", "own_bytes", "own_jobs", "start", "step", "weight")

    def __init__(self) -> None:
        self.jobs: OrderedDict[str, Waiting] = OrderedDict()
        self.bytes = self.own_jobs = self.own_bytes = 0
        self.start = self.weight = self.step = 0


def _turn(row: _Row[Waiting]) -> tuple[int, int]:
    """Return what the least of goes first: its start, and of two with one the heavier row."""
    return row.start, row.step
