"""An engine that writes down what it was told, and answers in words nobody else says."""

import asyncio
import re
from dataclasses import dataclass, field

import msgspec

from axon.base import TaskOwner
from axon.inference import LocalBus, LocalQueue
from axon.inference.jobs import DONE, FailureKind, JobFailed, SseBytes, Started, WholeBody
from axon.inference.ports import Delivery, JobWriter
from tests.simulation.world import World

MODEL = "simulated"
SLOTS = 64

MARK = re.compile(r"<[a-z0-9.]+>")
"""What every text of this simulation holds once, and no two texts alike."""


class _Message(msgspec.Struct):
    role: str
    content: str


class _Request(msgspec.Struct):
    messages: list[_Message]


@dataclass
class EngineLog:
    """What the engine was told, by the mark of its answer; it outlives the processes."""

    told: dict[str, list[str]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """What it said, whole, by the same mark."""
    fail: float = 0.0
    """The probability that a job fails, before or after its first word."""
    slow: float = 1.0
    jobs: int = 0


class SimulatedEngine:
    """A worker and its engine in one, within the serving process."""

    def __init__(self, world: World, log: EngineLog, bus: LocalBus, tasks: TaskOwner) -> None:
        self._world = world
        self._log = log
        self._bus = bus
        self._tasks = tasks

    def serve(self, queue: LocalQueue) -> None:
        """Take jobs from now on."""
        queue.consume(MODEL, SLOTS, self._take)

    def _take(self, delivery: Delivery) -> None:
        listener = _Listener()
        writer = self._bus.writer(delivery, listener)
        listener.task = self._tasks.start(self._run(delivery, writer), "simulated job")

    async def _run(self, delivery: Delivery, writer: JobWriter) -> None:
        world, log = self._world, self._log
        job = delivery.job
        try:
            await asyncio.sleep(world.between(0.001, 0.05) * log.slow)
            request = msgspec.json.decode(b"{%b}" % job.fields, type=_Request)
            log.jobs += 1
            mark = f"<j{log.jobs}>"
            log.told[mark] = [
                found for message in request.messages for found in MARK.findall(message.content)
            ]
            fails = world.chance(log.fail)
            if fails and world.chance(0.5):
                writer.put(_failure(shown=False))
                return
            words = [mark, *(f" w{number}" for number in range(world.dice.randint(0, 6)))]
            log.said[mark] = "".join(words)
            if not job.streamed:
                await asyncio.sleep(world.between(0.01, 0.5) * log.slow)
                whole = _failure(shown=False) if fails else WholeBody("engine", _whole(words))
                writer.put(whole)
                return
            writer.put(Started("engine"))
            for number, word in enumerate(words):
                await asyncio.sleep(world.between(0.001, 0.3) * log.slow)
                if fails and number and world.chance(0.4):
                    writer.put(_failure(shown=True))
                    return
                writer.put(SseBytes(_chunk(word, None)))
            writer.put(SseBytes(_chunk("", "stop") + b"data: [DONE]\n\n"))
            writer.put(DONE)
        except asyncio.CancelledError:
            message = "cancelled"
            writer.put(JobFailed(kind=FailureKind.CANCELLED, message=message, shown=True))
        finally:
            delivery.done()


class _Listener:
    task: asyncio.Task[None] | None = None

    def on_cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def on_room(self) -> None:
        pass


def _failure(shown: bool) -> JobFailed:
    message = "simulated"
    return JobFailed(kind=FailureKind.UPSTREAM_ERROR, status=500, message=message, shown=shown)


def _chunk(text: str, finish: str | None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    body = {"id": "up", "object": "chat.completion.chunk", "created": 1, "choices": [choice]}
    return b"data: %b\n\n" % msgspec.json.encode(body)


def _whole(words: list[str]) -> bytes:
    message = {"role": "assistant", "content": "".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "up", "object": "chat.completion", "created": 1, "choices": [choice]}
    return msgspec.json.encode(body | {"usage": usage})
