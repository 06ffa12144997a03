"""A cancel that crosses the end of an answer: what was used is still what the engine says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from axon.inference import (
    Delivery,
    Engines,
    FailureKind,
    JobFailed,
    JobWriter,
    Model,
    SseBytes,
    Upstream,
    Worker,
)
from axon.inference.jobs import DONE
from axon.records import TokenUsage, TurnCompleted, TurnInterrupted, decode
from axon.turns import RunningTurn
from axon.turns import turns as turns_file
from tests.conversations.scene import Process, eventually
from tests.fake_upstream import FakeUpstream
from tests.turns.scene import MODEL, Taking, request

WORDS = "one two three"
HELD = f"[[text:{WORDS}]][[usage_held:said]]"
GATE = "said"


@asynccontextmanager
async def whole_but_for_its_usage(taking: Taking, fake: FakeUpstream) -> AsyncIterator[RunningTurn]:
    """Run a turn on a real worker until its engine has said its last word."""
    upstream = Upstream(name="engine", base_url=fake.base_url, model="m")
    model = Model(alias=MODEL, context_window=1000, output_tokens_max=100, upstreams=(upstream,))
    clock, engine = taking.process.node.clock, taking.engine
    engines = Engines((model,), clock)
    worker = Worker(engine.queue, engine.bus, engines, clock)
    worker.know((model,))
    try:
        conversation = await taking.process.conversation("hello")
        turn = await taking.turns.take(request(conversation, HELD, streamed=True))
        assert isinstance(turn, RunningTurn)
        delivery, _ = await engine.jobs.get()
        worker.take(delivery)
        await eventually(lambda: turn.answer.complete)
        assert turn.answer.usage is None
        yield turn
    finally:
        await worker.stop(0)
        await engines.close()


def end_of(taking: Taking) -> TurnCompleted | TurnInterrupted:
    """Return the end of the one turn in the journal that an engine answered."""
    records = [decode(entry.kind, entry.payload) for entry in taking.process.journal.read(0)]
    *_, last = [one for one in records if isinstance(one, TurnCompleted | TurnInterrupted)]
    return last


async def test_an_answer_that_is_whole_waits_for_what_its_engine_used(process: Process) -> None:
    taking = Taking(process)
    async with FakeUpstream() as fake, whole_but_for_its_usage(taking, fake) as turn:
        taking.turns.cancel(turn)
        fake.gates[GATE].set()
        await turn.stream.over()
        [run] = fake.ledger
    end = end_of(taking)
    assert (end.status, run.dropped) == ("completed", False)
    assert end.usage == TokenUsage(
        input_tokens=run.usage["prompt_tokens"], output_tokens=run.usage["completion_tokens"]
    )


async def test_an_engine_that_hangs_behind_its_last_word_is_waited_for_no_longer_than_that(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns_file, "_USAGE_WITHIN_S", 0.05)
    taking = Taking(process)
    async with FakeUpstream() as fake, whole_but_for_its_usage(taking, fake) as turn:
        taking.turns.cancel(turn)
        await turn.stream.over()
        await fake.until(lambda: fake.ledger[0].dropped)
    end = end_of(taking)
    assert (end.status, end.usage.estimated) == ("completed", True)
    assert end.usage.output_tokens > 0


class _Obedient:
    """A worker's listener that ends its job at the very cancel."""

    def __init__(self, taking: Taking, delivery: Delivery) -> None:
        self.writer: JobWriter = taking.engine.bus.writer(delivery, self)

    def on_cancel(self) -> None:
        self.writer.put(JobFailed(kind=FailureKind.CANCELLED, message="cancelled", shown=True))

    def on_room(self) -> None:
        """Never wait for a reader."""


async def test_a_last_word_that_the_turn_has_not_read_yet_counts_too(process: Process) -> None:
    """It lies on the bus when the cancel comes."""
    taking = Taking(process)
    conversation = await process.conversation("hello")
    turn = await taking.turns.take(request(conversation, "hi", streamed=True))
    assert isinstance(turn, RunningTurn)
    delivery, _ = await taking.engine.jobs.get()
    writer = _Obedient(taking, delivery).writer
    delta = {"index": 0, "delta": {"content": WORDS}, "finish_reason": "stop"}
    head = {"id": "up", "object": "chat.completion.chunk", "created": 1}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    await asyncio.sleep(0)  # the turn waits for its engine now
    writer.put(_event({**head, "choices": [delta]}))
    taking.turns.cancel(turn)
    await eventually(lambda: turn.answer.complete)
    writer.put(_event({**head, "choices": [], "usage": usage}))
    writer.put(DONE)
    delivery.done()
    await turn.stream.over()
    assert end_of(taking).usage == TokenUsage(input_tokens=9, output_tokens=4)


def _event(chunk: object) -> SseBytes:
    return SseBytes(b"data: %b\n\n" % msgspec.json.encode(chunk))
