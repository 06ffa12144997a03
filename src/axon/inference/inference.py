"""How a turn gets its answer: submit a job, read its stream, cancel it."""

from collections.abc import Sequence

from axon.inference.broker.dispatcher import Dispatcher
from axon.inference.engines import Engines
from axon.inference.errors import QueueFull
from axon.inference.jobs import Job
from axon.inference.models import Model
from axon.inference.ports import Bus, JobQueue, JobStream
from axon.inference.prompt_tokens import PromptCounter
from axon.inference.tokens import TokenCounter


class Inference:
    """The turns' side of the queue and the bus."""

    def __init__(
        self, queue: JobQueue, bus: Bus, engines: Engines, dispatcher: Dispatcher | None = None
    ) -> None:
        """Workers are at the other side of queue and bus; the engines are asked to count.

        `dispatcher` is what stands there when the workers are processes of their own.
        """
        self._dispatcher = dispatcher
        self._queue = queue
        self._bus = bus
        self._counter = TokenCounter(engines)
        self._prompts = PromptCounter(engines)

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

    @property
    def keeps_output(self) -> bool:
        """Return whether the output of a job may outlive the process that submitted it."""
        return self._dispatcher is not None

    async def reattach(self, turn_id: str, deadline: float) -> JobStream | None:
        """Return the output of a turn's job that this process sent in an earlier life.

        The stream begins with the job's first output, is the same to the last byte, and goes on
        where the job still runs; `deadline` is as a job's. None when the bus does not have all of
        it: no workers of their own, a bus that was wiped, a job of long ago. It ends with
        JobFailed of kind LOST when its worker died; with `shown` false the turn may run again.
        Waits for the bus some seconds; raises TurnAlreadySubmitted.
        """
        if self._dispatcher is None:
            return None
        return await self._dispatcher.reattach(turn_id, deadline)

    async def count_tokens(self, model: Model, texts: Sequence[str]) -> list[int] | None:
        """Return the model tokens of each text as an engine of the model counts them.

        None when none can: the engine has no tokenizer, is away or slow, or there are too many.
        """
        return await self._counter.count(model, texts)

    async def count_prompt(self, model: Model, fields: bytes) -> int | None:
        """Return the model tokens of a chat completion's prompt, its template included.

        `fields` are the request's members that make the prompt, as in a Job. None when no engine
        of the model can say.
        """
        return await self._prompts.count(model, fields)
