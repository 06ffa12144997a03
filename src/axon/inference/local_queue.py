"""The queue inside one process: a job goes straight into the hands of a worker with a free slot."""

from collections.abc import Callable

from axon.base import MIB
from axon.inference.jobs import Job
from axon.inference.ports import Consumer, Delivery, Reply
from axon.inference.rows import Room, Rows
from axon.telemetry import counter, gauge

JOBS_WAITING_MAX = 1024
"""Per lane, beside what rows with a share have of their own. At a job a second and slot, more would
wait longer than any client does."""

JOBS_WAITING_BYTES_MAX = 256 * MIB
"""Per lane. Most requests are far smaller than the longest that is allowed: few long ones would
otherwise fill the memory long before there are many."""

_waiting = gauge("axon_queue_jobs_waiting", "Jobs that no worker has yet.", ("queue",))
_resubmitted = counter(
    "axon_queue_jobs_resubmitted_total",
    "Jobs put again because their worker went away or gave them back.",
    ("queue",),
)


class LocalQueue:
    """Implements JobQueue and JobSource; it lives and dies with its process."""

    def __init__(
        self,
        jobs_waiting_max: int = JOBS_WAITING_MAX,
        name: str = "in_process",
        bytes_waiting_max: int = JOBS_WAITING_BYTES_MAX,
    ) -> None:
        """The two bounds hold for each lane; `name` is the queue's in the metrics."""
        self._room = Room(jobs_max=jobs_waiting_max, bytes_max=bytes_waiting_max)
        self._lanes: dict[str, _Lane] = {}
        self.elsewhere: Callable[[], int] = _none
        """Returns how many jobs that left this queue wait in another for a worker."""
        self._resubmitted = _resubmitted.labels(name)
        _waiting.labels(name).set_function(lambda: self.jobs_waiting + self.elsewhere())

    @property
    def jobs_waiting(self) -> int:
        """Return how many jobs no worker has yet."""
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def put(self, job: Job) -> None:
        """Hand the job to a free slot within this call, else let it wait; raise QueueFull."""
        lane = self._lane(job.model.lane)
        delivery = _LocalDelivery(job, 1)
        if not lane.hand_at_once(delivery):
            lane.waiting.admit(job)
            lane.waiting.add(delivery)
            lane.hand_out()

    def forget(self, turn_id: str) -> bool:
        """Drop a waiting job; return False when none of this turn waits."""
        return any(lane.waiting.forget(turn_id) for lane in self._lanes.values())

    def consume(self, lane: str, slots: int, take: Callable[[Delivery], None]) -> Consumer:
        """Give `take` the lane's jobs, those already waiting within this call."""
        consumer = _LocalConsumer(self._lane(lane), slots, take)
        consumer.lane.consumers.append(consumer)
        consumer.lane.hand_out()
        return consumer

    def _lane(self, name: str) -> "_Lane":
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(self._room, self._resubmitted.inc)
        return lane


def _none() -> int:
    return 0


class _Lane:
    __slots__ = ("_handing_out", "_resubmitted", "consumers", "waiting")

    def __init__(self, room: Room, resubmitted: Callable[[float], None]) -> None:
        self._resubmitted = resubmitted
        self.waiting: Rows[_LocalDelivery] = Rows(room)
        self.consumers: list[_LocalConsumer] = []
        self._handing_out = False

    def hand_at_once(self, delivery: "_LocalDelivery") -> bool:
        """Give the job to a free slot if no other waits for it; return whether that was so."""
        if self.waiting.backlog or self._handing_out:
            return False
        consumer = self._free_consumer()
        if consumer is None:
            return False
        self._handing_out = True
        try:
            consumer.hand(delivery)
        finally:
            self._handing_out = False
        if self.waiting.backlog:
            self.hand_out()
        return True

    def hand_out(self) -> None:
        """Hand out while there are jobs and slots.

        A job that ends within `take` frees its slot and calls this again: the flag makes that a
        turn of the loop below instead of a deeper call for every waiting job.
        """
        if self._handing_out:
            return
        self._handing_out = True
        try:
            while self.waiting.backlog and (consumer := self._free_consumer()) is not None:
                consumer.hand(self.waiting.pop())
        finally:
            self._handing_out = False

    def _free_consumer(self) -> "_LocalConsumer | None":
        for consumer in self.consumers:
            if consumer.free > 0:
                return consumer
        return None

    def put_first(self, deliveries: "list[_LocalDelivery]") -> None:
        """Let jobs wait again, before the others of their rows.

        They were accepted once, so the bound is not asked: it is passed by at most the slots of
        the consumers.
        """
        self._resubmitted(len(deliveries))
        self.waiting.add_first([_LocalDelivery(one.job, one.attempt + 1) for one in deliveries])
        self.hand_out()


class _LocalConsumer:
    __slots__ = ("_take", "free", "held", "lane")

    def __init__(self, lane: _Lane, slots: int, take: Callable[[Delivery], None]) -> None:
        self.lane = lane
        self.free = slots
        self.held: dict[str, _LocalDelivery] = {}
        self._take = take

    def hand(self, delivery: "_LocalDelivery") -> None:
        """Give the job to the worker."""
        self.free -= 1
        self.held[delivery.job.turn_id] = delivery
        delivery.consumer = self
        self._take(delivery)

    def drain(self) -> None:
        """Take no more."""
        if self in self.lane.consumers:
            self.lane.consumers.remove(self)

    def close(self) -> None:
        """Take no more; what is not done goes back."""
        self.drain()
        held, self.held = self.held, {}
        self.lane.put_first(list(held.values()))


class _LocalDelivery:
    """A job, first waiting, then in a consumer's hands; given back, it becomes a new one."""

    __slots__ = ("attempt", "consumer", "job", "reply")

    def __init__(self, job: Job, attempt: int) -> None:
        self.reply: Reply | None = None
        self.job = job
        self.attempt = attempt
        self.consumer: _LocalConsumer | None = None

    def done(self) -> None:
        """Free the slot."""
        consumer = self._release()
        if consumer is not None:
            consumer.lane.hand_out()

    def give_back(self) -> None:
        """Free the slot and let the job wait again."""
        consumer = self._release()
        if consumer is not None:
            consumer.lane.put_first([self])

    def _release(self) -> _LocalConsumer | None:
        """Return the consumer whose slot is free now; None when the job is no longer its own."""
        consumer, self.consumer = self.consumer, None
        if consumer is None or consumer.held.get(self.job.turn_id) is not self:
            return None
        del consumer.held[self.job.turn_id]
        consumer.free += 1
        return consumer
