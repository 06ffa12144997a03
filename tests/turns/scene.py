"""A process that takes turns, with a real journal, PostgreSQL and Valkey, and an engine at hand."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from axon.base import TaskOwner
from axon.conversations import NewItem, StoredTurn
from axon.flags import EMPTY
from axon.inference import (
    Delivery,
    Engines,
    Inference,
    JobWriter,
    LocalBus,
    LocalQueue,
    Model,
    ModelTable,
    Retriever,
    SseBytes,
    Upstream,
)
from axon.inference.jobs import DONE
from axon.journal import Mark
from axon.metering import PriceBook
from axon.turns import OpenTurn, TurnOptions, TurnRequest, TurnRooms, Turns, read_back
from tests.conversations.scene import KEY, ORG, RANDOMNESS, Process

MODEL, LARGE = "small", "large"
SLOTS = 8
USER = 7
USUAL = TurnOptions()


class Engine:
    """Answers a job when it is told to, and in the words it is told."""

    def __init__(self, process: Process) -> None:
        self.queue, self.bus = LocalQueue(), LocalBus(process.node.clock)
        self.jobs: asyncio.Queue[tuple[Delivery, JobWriter]] = asyncio.Queue()
        for lane in (MODEL, LARGE):
            self.queue.consume(lane, SLOTS, self._take)

    def _take(self, delivery: Delivery) -> None:
        self.jobs.put_nowait((delivery, self.bus.writer(delivery, self)))

    def on_cancel(self) -> None:
        """Let the job go on: what is cancelled is not listened to."""

    def on_room(self) -> None:
        """Never wait for a reader."""


def say(writer: JobWriter, text: str) -> None:
    """Stream a piece of an answer."""
    delta = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    writer.put(SseBytes(b"data: %b\n\n" % msgspec.json.encode(_chunk(delta))))


def end(delivery: Delivery, writer: JobWriter) -> None:
    """End an answer well."""
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunk = b"data: %b\n\ndata: [DONE]\n\n" % msgspec.json.encode(_chunk(last))
    writer.put(SseBytes(chunk))
    writer.put(DONE)
    delivery.done()


def _chunk(choice: object) -> dict[str, object]:
    head = {"id": "up", "object": "chat.completion.chunk", "created": 1}
    return {**head, "choices": [choice]}


class Taking:
    """The turns of one process."""

    def __init__(
        self,
        process: Process,
        options: TurnOptions = USUAL,
        retriever: Retriever | None = None,
        **guards: Any,
    ) -> None:
        """`guards`: members of TurnRooms that hide and check."""
        self.process = process
        self.engine = Engine(process)
        self.problems: list[str] = []
        self.prices = PriceBook()
        self.flag_set = EMPTY
        self.tasks = TaskOwner(lambda name, error: self.problems.append(f"{name}: {error!r}"))
        upstream = Upstream(name="engine", base_url="http://127.0.0.1:1", model="m")
        small, large = (
            Model(alias=alias, context_window=window, output_tokens_max=1000, upstreams=(upstream,))
            for alias, window in ((MODEL, 1_000_000), (LARGE, 4_000))
        )
        rooms = TurnRooms(
            journal=process.journal,
            conversations=process.conversations,
            inference=Inference(
                self.engine.queue, self.engine.bus, Engines((small, large), process.node.clock)
            ),
            models=ModelTable((small, large)),
            prices=self.prices,
            limits=process.limits,
            keys=process.keys,
            mint=process.mint,
            clock=process.node.clock,
            randomness=RANDOMNESS,
            tasks=self.tasks,
            identity=b"i" * 32,
            flag_set=lambda: self.flag_set,
            retriever=retriever,
            **guards,
        )
        self.rooms = rooms
        self.turns = Turns(rooms, options, Mark(process.directory / "unfinished", writable=True))

    def left_open(self) -> list[OpenTurn]:
        """Return the turns without an end in the journal."""
        return read_back(self.process.journal.read(0), lambda record, location: None)

    async def answer(self, *texts: str) -> None:
        """Answer the next job."""
        delivery, writer = await self.engine.jobs.get()
        for text in texts:
            say(writer, text)
        end(delivery, writer)

    async def taken(self, request: TurnRequest) -> str:
        """Take a turn, wait for its end and return its id; "" to a caller that went away."""
        with suppress(asyncio.CancelledError):
            turn = await self.turns.take(request)
            if isinstance(turn, StoredTurn):
                return turn.turn_id
            await turn.stream.over()
            return turn.head.turn_id
        return ""


def request(conversation_id: str, text: str, *, streamed: bool, attempt: int = 0) -> TurnRequest:
    """Return what the gateway makes of a response that is asked for."""
    members: dict[str, object] = {"model": MODEL, "input": text}
    if streamed:
        members["stream"] = True
    body = msgspec.json.encode(members)
    content = {"type": "message", "role": "user", "content": text}
    return TurnRequest(
        org_id=ORG,
        user=USER,
        credential_id=KEY,
        surface="responses",
        model=MODEL,
        streamed=streamed,
        stored=True,
        body=body,
        fields=msgspec.json.decode(body, type=dict[str, msgspec.Raw]),
        items=(NewItem(kind="message", author="user", content=msgspec.json.encode(content)),),
        conversation_id=conversation_id,
        attempt=attempt,
    )
