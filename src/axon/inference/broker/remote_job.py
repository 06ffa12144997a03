"""One job on its way through Valkey, as its gateway sees it: sent, taken, shown, over."""

from typing import Protocol

from axon.inference.broker import wire
from axon.inference.broker.seals import Seals
from axon.inference.jobs import FailureKind, Job, JobDone, JobFailed, JobOutput, SseBytes, WholeBody
from axon.inference.ports import Delivery, JobWriter, Reply
from axon.inference.running_job import DELIVERIES_MAX, LOST_RETRY_AFTER_MS
from axon.telemetry import counter

_gaps = counter(
    "axon_bus_gaps_total", "Times that output of a job was missing on the bus.", ("bus",)
).labels("valkey")

_PAUSE_AGAIN_S = 0.1
"""Between two orders to pause: a paused worker still sends what it had, and now and then a piece
more, for an order to resume may get lost."""

_ENDS = (JobDone, JobFailed, WholeBody)


class Desk(Protocol):
    """What a job asks of the dispatcher."""

    seals: Seals

    def send(self, job: "RemoteJob") -> bool:
        """Put the job into Valkey; return False when that cannot be tried now."""
        ...

    def order(self, worker_id: str, what: str, attempt_id: str) -> None:
        """Tell a worker to cancel, pause or resume an attempt; it may get lost."""
        ...

    def dismiss(self, job: "RemoteJob") -> None:
        """See to it that nobody runs this attempt, now or when Valkey is back."""
        ...

    def supersede(self, job: "RemoteJob") -> None:
        """Tell a successor of this process that the turn saw nothing of this attempt."""
        ...

    def over(self, job: "RemoteJob") -> None:
        """Listen no more to what is said about this attempt."""
        ...

    def run_here(self, delivery: Delivery) -> None:
        """Let this process's own worker run the job."""
        ...

    def monotonic(self) -> float:
        """Return the clock's seconds."""
        ...


class RemoteJob:
    """Listens for the turn (JobListener), the clock (Watched) and the worker (`on_entry`).

    A job found in the inbox of a process that died has no delivery: it cannot be sent again.
    """

    __slots__ = (
        "_delivery",
        "_desk",
        "_is_over",
        "_next_number",
        "_pause_s",
        "_writer",
        "due",
        "entry_id",
        "lane",
        "reply",
        "row",
        "seal",
        "sent_s",
        "shown",
        "since",
        "taken_s",
        "turn_id",
        "worker_id",
    )

    def __init__(
        self, desk: Desk, turn_id: str, reply: Reply, delivery: Delivery | None = None
    ) -> None:
        """Nothing is sent before `start`."""
        self._desk = desk
        self._delivery = delivery
        self._writer: JobWriter
        self.turn_id = turn_id
        self.reply = reply
        self.seal = desk.seals.of(reply.attempt_id)
        self.lane = delivery.job.model.lane if delivery is not None else ""
        self.row = delivery.job.row if delivery is not None else 0
        self.due = delivery.job.deadline if delivery is not None else float("inf")
        self.entry_id = b""
        """Its entry in the row of the lane, once Valkey has said; empty before."""
        self.worker_id = ""
        """Who has it; empty while nobody does."""
        self.since = (0, 0)
        """The place in the inbox after which everything about it is."""
        self.sent_s = self.taken_s = desk.monotonic()
        self.shown = self._is_over = False
        self._pause_s = 0.0
        self._next_number = 0

    @property
    def job(self) -> Job | None:
        """Return the job itself, while it can be sent again."""
        return self._delivery.job if self._delivery is not None else None

    @property
    def sent(self) -> wire.Sent:
        """Return where it was put."""
        return wire.Sent(self.entry_id, self.row, self.lane)

    @property
    def deliveries(self) -> int:
        """Return how often the job has been sent, this time included."""
        return self._delivery.attempt if self._delivery is not None else 1

    @property
    def waiting(self) -> bool:
        """Return whether no worker has it yet."""
        return not self.worker_id

    def start(self, writer: JobWriter) -> None:
        """Send the job, unless nobody waits for it or it has outlived too many workers."""
        self._writer = writer
        if writer.cancelled:
            self._leave()
            if self._delivery is not None:
                self._delivery.done()
        elif writer.shown or self.deliveries > DELIVERIES_MAX:
            self.shown = writer.shown
            self._fail(FailureKind.LOST, "the worker that had the job went away")
        elif not self._desk.send(self):
            self._leave()
            if self._delivery is not None:
                self._desk.run_here(self._delivery)

    def follow(self, writer: JobWriter) -> None:
        """Only listen: the job was sent by the process before this one."""
        self._writer = writer

    # ---- what the worker says ----

    def on_entry(self, entry: wire.Entry) -> None:
        """Take note of an event, or pass output on: each once, in order."""
        if self._is_over:
            return
        if entry.is_output:
            self._on_output(entry)
        elif entry.kind == wire.TAKEN:
            self.worker_id = entry.data.decode(errors="replace")
            self.taken_s = self._desk.monotonic()
        elif entry.kind == wire.RETURNED:
            self.again()

    def _on_output(self, entry: wire.Entry) -> None:
        if entry.number < self._next_number:
            return  # the worker was not sure that it had arrived
        try:
            output = wire.read_output(entry, self.seal)
        except wire.UnreadableEntry:
            output = None
        if entry.number > self._next_number or output is None:
            _gaps.inc()
            self.again()
            return
        self._next_number += 1
        if isinstance(output, _ENDS):
            self._end(output)
            return
        self.shown = self.shown or isinstance(output, SseBytes)
        if not self._writer.put(output) and self._desk.monotonic() >= self._pause_s:
            self._pause_s = self._desk.monotonic() + _PAUSE_AGAIN_S
            self._desk.order(self.worker_id, "pause", self.reply.attempt_id)

    # ---- what the turn and the clock say ----

    def on_cancel(self) -> None:
        """End now; the worker hears of it."""
        self._fail(FailureKind.CANCELLED, "cancelled")

    def on_room(self) -> None:
        """Let the worker go on."""
        self._pause_s = 0.0
        self._desk.order(self.worker_id, "resume", self.reply.attempt_id)

    def expired(self, now: float) -> None:
        """End a job that no worker took; one that has it says so itself."""
        if self.waiting:
            self._fail(FailureKind.DEADLINE, "no worker took the job before its deadline")

    # ---- what the watch finds ----

    def again(self) -> None:
        """Let another worker have the job, or end it when the turn has seen some of its output."""
        delivery = self._delivery
        if delivery is None or self.shown:
            self._fail(FailureKind.LOST, "the output of the worker that had the job was lost")
        elif not self._is_over:
            self._dismiss_and_leave()
            delivery.give_back()

    def run_here(self) -> None:
        """Let this process run the job if nothing was shown: Valkey or every worker is away."""
        delivery = self._delivery
        if delivery is None or self.shown:
            self._fail(FailureKind.LOST, "the worker that had the job could not be heard")
        elif not self._is_over:
            self._dismiss_and_leave()
            self._desk.run_here(delivery)

    # ---- ends ----

    def _fail(self, kind: FailureKind, message: str) -> None:
        if not self._is_over:
            self._desk.dismiss(self)
            retry_after_ms = LOST_RETRY_AFTER_MS if kind is FailureKind.LOST else None
            self._end(
                JobFailed(
                    kind=kind, message=message, retry_after_ms=retry_after_ms, shown=self.shown
                )
            )

    def _end(self, output: JobOutput) -> None:
        self._is_over = True
        self._desk.over(self)
        self._writer.put(output)
        if self._delivery is not None:
            self._delivery.done()

    def _dismiss_and_leave(self) -> None:
        self._desk.dismiss(self)
        self._desk.supersede(self)
        self._leave()

    def _leave(self) -> None:
        self._is_over = True
        self._desk.over(self)
        self._writer.leave()
