"""How a turn gets its answer: submit a job, read its stream, cancel it."""

from collections.abc import Sequence

from axon.inference.engines import Engines
from axon.inference.errors import QueueFull
from axon.inference.jobs import Job
from axon.inference.models import Model
from axon.inference.ports import Bus, JobQueue, JobStream
from axon.inference.tokens import TokenCounter


class Inference:
    """The turns' side of the queue and the bus."""

    def __init__(self, queue: JobQueue, bus: Bus, engines: Engines) -> None:
        """Workers are at the other side of queue and bus; the engines are asked to count."""
        self._queue = queue
        self._bus = bus
        self._counter = TokenCounter(engines)

    def submit(self, job: Job) -> JobStream:
        """Queue the job and return the stream of its output; does not block.

        Raises QueueFull, and TurnAlreadySubmitted while an earlier job of the turn runs. The
        stream ends with JobDone, WholeBody or JobFailed; a turn that stops reading before that
        must cancel.
        """
        stream = self._bus.open(job.turn_id, job.deadline)
        try:
            self._queue.put(job)
        except QueueFull:
            self._bus.cancel(job.turn_id)
            raise
        return stream

    def cancel(self, turn_id: str) -> None:
        """End the turn's job: its upstream connection is closed, its stream ends as cancelled.

        Does not block; nothing happens when no such job runs.
        """
        self._queue.forget(turn_id)
        self._bus.cancel(turn_id)

    async def count_tokens(self, model: Model, texts: Sequence[str]) -> list[int] | None:
        """Return the model tokens of each text as an engine of the model counts them.

        None when none can: the engine has no tokenizer, is away or slow, or there are too many.
        """
        return await self._counter.count(model, texts)
