"""What is written into Valkey: numbered, sealed and bounded."""

import msgspec
import pytest

from axon.inference import (
    FailureKind,
    Job,
    JobDone,
    JobOutput,
    Reply,
    SseBytes,
    Started,
)
from axon.inference.broker import keys, wire
from tests.fake_upstream import FakeUpstream
from tests.inference.broker_scene import (
    INSTANCE,
    QUICK_PAST,
    BrokerScene,
    ended,
    sent,
    soon_true,
    taken,
)
from tests.inference.ends import UP, until
from tests.inference.scene import at, read, said, soon


@pytest.mark.failure("bus", "lying")
async def test_output_that_comes_twice_is_shown_once(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        job = scene.job("hi")
        stream = gateway.inference.submit(job)
        reply = await taken(scene, job.turn_id)
        outputs: list[JobOutput] = [Started("a"), SseBytes(b"1"), SseBytes(b"2"), JobDone()]
        for number in (0, 1, 0, 1, 2, 1, 3):
            await scene.call(*sent(reply, job.turn_id, number, outputs[number]))
        assert await read(stream) == outputs


@pytest.mark.failure("bus", "lying")
@pytest.mark.parametrize("shown", [False, True])
async def test_a_gap_ends_the_stream_or_begins_it_anew(valkey_url: str, shown: bool) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        job = scene.job("hi")
        stream = gateway.inference.submit(job)
        reply = await taken(scene, job.turn_id)
        first: JobOutput = SseBytes(b"1") if shown else Started("a")
        await scene.call(*sent(reply, job.turn_id, 0, first))
        assert await soon(stream) == first
        await scene.call(*sent(reply, job.turn_id, 2, SseBytes(b"3")))
        if shown:
            ended(await soon(stream), FailureKind.LOST, shown=True)
        else:
            second = await taken(scene, job.turn_id)
            assert second.attempt_id != reply.attempt_id
            await scene.call(*sent(reply, job.turn_id, 3, SseBytes(b"of the first")))
            await scene.call(*sent(second, job.turn_id, 0, SseBytes(b"1")))
            assert await soon(stream) == SseBytes(b"1")
        await soon_true(lambda: scene.call("EXISTS", keys.cancelled_key(reply.attempt_id)))


@pytest.mark.failure("bus", "slow")
async def test_a_worker_that_was_only_slow_is_not_believed_any_more(valkey_url: str) -> None:
    """It was silent for too long, another has the job, and now it speaks again."""
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        job = scene.job("hi")
        stream = gateway.inference.submit(job)
        slow = await taken(scene, job.turn_id)
        await scene.call("DEL", keys.worker_key("hand"))
        await scene.worker()
        assert isinstance(await soon(stream), Started)
        late: list[JobOutput] = [Started("slow"), SseBytes(b"slow"), JobDone()]
        for number, output in enumerate(late):
            await scene.call(*sent(slow, job.turn_id, number, output))
        outputs = await read(stream)
        assert isinstance(outputs[-1], JobDone) and b"slow" not in said(outputs)
        orders = await scene.call("XRANGE", keys.orders_key("hand"), "-", "+")
        assert isinstance(orders, list)
        assert ("cancel", slow.attempt_id) in map(wire.read_order, orders)


@pytest.mark.failure("bus", "corrupt")
async def test_entries_of_another_form_are_passed_over(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        await scene.call("XADD", keys.inbox_key(INSTANCE), "*", "x", "y")
        await scene.call("XADD", keys.jobs_key("m"), "*", "j", b"\xc1")
        await scene.worker()
        assert isinstance((await read(scene.submit(gateway, "hi")))[-1], JobDone)


async def test_valkey_never_sees_what_is_said(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        waiting = scene.submit(gateway, "secret [[text:whispered words]][[chunks:1]]")
        await until(lambda: len(gateway.dispatcher) == 1)
        lane = repr(await scene.call("XRANGE", keys.jobs_key("m"), "-", "+"))
        assert "turn-1" in lane and "secret" not in lane
        await scene.worker()
        assert b"whispered" in said(await read(waiting))
        inbox = repr(await scene.call("XRANGE", keys.inbox_key(INSTANCE), "-", "+"))
        assert "turn-1" in inbox and "whispered" not in inbox


@pytest.mark.failure("queue", "corrupt")
async def test_a_worker_with_another_keyring_runs_nothing(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake)) as scene:
        gateway = await scene.gateway()
        scene.secret = bytes(32)
        await scene.worker()
        ended(await soon(scene.submit(gateway, "hi")), FailureKind.LOST, shown=False)
        assert fake.requests == 0


async def test_an_inbox_nobody_reads_does_not_grow_for_ever(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "INBOX_ENTRIES_MAX", 100)
    monkeypatch.setattr(wire, "ORDERS_MAX", 100)
    async with BrokerScene(valkey_url, UP) as scene:
        for number in range(1000):
            await scene.call(*wire.event(Reply("gone", str(number)), "t", wire.TAKEN))
            await scene.call(*wire.order("gone", "cancel", str(number)))
        for key in (keys.inbox_key("gone"), keys.orders_key("gone")):
            length = await scene.call("XLEN", key)
            assert isinstance(length, int) and length < 300  # XADD trims whole nodes


async def test_the_inbox_keeps_only_what_is_needed(valkey_url: str) -> None:
    async with FakeUpstream() as fake, BrokerScene(valkey_url, at(fake), pace=QUICK_PAST) as scene:
        gateway = await scene.gateway()
        await scene.worker()
        for number in range(20):
            await read(scene.submit(gateway, f"[[chunks:20]][[delay_ms:1]] {number}"))

        async def trimmed() -> bool:
            length = await scene.call("XLEN", keys.inbox_key(INSTANCE))
            return isinstance(length, int) and length <= 200  # XTRIM leaves part of a node

        await soon_true(trimmed)


def test_every_field_of_a_job_travels() -> None:
    """A field added to Job must be added to the wire: the worker would fall back to its default."""
    travels = {field.name for field in msgspec.structs.fields(wire.WireJob)}
    renamed = {"model": "alias", "deadline": "deadline_us"}
    names = {field.name for field in msgspec.structs.fields(Job)}
    assert {renamed.get(name, name) for name in names} <= travels
