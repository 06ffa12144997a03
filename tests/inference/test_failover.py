from collections import Counter

import pytest

from axon.inference import FailureKind, JobFailed, SseBytes, Started, Upstream, WholeBody
from axon.inference.failures import RETRY_AFTER_MS_MAX
from tests.fake_upstream import FakeUpstream
from tests.inference.raw_server import RawServer, whole
from tests.inference.scene import Scene, at, on_port, read, soon

NOWHERE = Upstream(name="nowhere", base_url="http://127.0.0.1:9/v1", model="tiny")
"""The discard port: nothing listens there."""


@pytest.mark.failure("upstream", "refusing")
@pytest.mark.parametrize(
    "fault", ["302", "429", "500", "503", "close", "big_header", "early_close"]
)
async def test_another_upstream_answers_instead(fault: str) -> None:
    async with (
        FakeUpstream("bad", f"[[fault:{fault}]]") as bad,
        FakeUpstream("good") as good,
        Scene(at(bad), at(good, order=1)) as scene,
    ):
        assert await scene.upstream_of(streamed=False) == "good"
        if fault != "early_close":  # which shows something of a stream
            assert await scene.upstream_of() == "good"
        assert bad.requests == good.requests


@pytest.mark.failure("upstream", "down")
async def test_an_upstream_that_cannot_be_reached_is_passed_over() -> None:
    async with FakeUpstream("good") as good, Scene(NOWHERE, at(good, order=1)) as scene:
        assert await scene.upstream_of() == "good"


async def test_a_name_that_does_not_resolve_is_passed_over() -> None:
    unknown = Upstream(name="unknown", base_url="http://upstream.invalid", model="tiny")
    async with FakeUpstream("good") as good, Scene(unknown, at(good, order=1)) as scene:
        assert await scene.upstream_of() == "good"


@pytest.mark.failure("upstream", "slow")
async def test_an_upstream_that_is_too_slow_is_passed_over() -> None:
    async with (
        FakeUpstream("slow", "[[fault:hang]]") as slow,
        FakeUpstream("good") as good,
        Scene(at(slow, first_token_timeout_s=5), at(good, order=1)) as scene,
    ):
        stream = scene.submit("hi")
        await slow.until(lambda: slow.requests == 1)
        scene.clock.now += 6
        assert (await read(stream))[0] == Started("good")
        await slow.until(lambda: slow.ledger[0].dropped)


async def test_a_whole_answer_may_take_its_total_time() -> None:
    """All of it comes at once at the end: that no byte came yet says nothing."""
    async with FakeUpstream("slow", "[[fault:hang]]") as slow, FakeUpstream("good") as good:
        up = at(slow, first_token_timeout_s=5, total_timeout_s=50)
        async with Scene(up, at(good, order=1)) as scene:
            stream = scene.submit("hi", streamed=False)
            await slow.until(lambda: slow.requests == 1)
            scene.clock.now += 6
            at_its_deadline = await scene.failure("hi", within_s=-1)
            assert at_its_deadline.kind is FailureKind.DEADLINE
            taken = scene.engines.get(up).upstream.slots - scene.engines.get(up).free_slots
            assert taken == 1, "the time was looked at, and the first token not missed"
            scene.clock.now += 50
            (body,) = await read(stream)
            assert isinstance(body, WholeBody)
            assert body.upstream == "good"


async def test_nothing_is_failed_over_once_it_was_shown() -> None:
    async with (
        FakeUpstream("bad", "[[fault:early_close]]") as bad,
        FakeUpstream("good") as good,
        Scene(at(bad), at(good, order=1)) as scene,
    ):
        started, events, failed = await scene.outputs("hi")
        assert started == Started("bad")
        assert isinstance(events, SseBytes)
        assert isinstance(failed, JobFailed)
        assert failed.shown
        assert good.requests == 0


async def test_a_request_at_fault_is_not_tried_elsewhere() -> None:
    async with (
        FakeUpstream("strict", "[[fault:400]]") as strict,
        FakeUpstream("good") as good,
        Scene(at(strict), at(good, order=1)) as scene,
    ):
        failed = await scene.failure("hi")
        assert (failed.kind, failed.status) == (FailureKind.REJECTED, 400)
        assert b"scripted 400" in failed.body
        assert good.requests == 0


async def test_the_last_failure_is_told_when_all_fail() -> None:
    async with (
        FakeUpstream("busy", "[[fault:429]]") as busy,
        Scene(NOWHERE, at(busy, order=1)) as scene,
    ):
        failed = await scene.failure("hi")
        assert (failed.kind, failed.status) == (FailureKind.OVERLOADED, 429)
        assert failed.retry_after_ms == 1000
        assert not failed.shown


@pytest.mark.parametrize(
    ("headers", "expected_ms"),
    [
        ("retry-after: 2\r\n", 2000),
        ("retry-after: 1.5\r\n", 1500),
        ("retry-after: 2\r\nRetry-After-Ms: 70\r\n", 70),
        (f"retry-after: {'9' * 400}\r\n", RETRY_AFTER_MS_MAX),
        ("retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n", None),
        ("retry-after: -1\r\n", None),
        ("", None),
    ],
)
async def test_the_time_to_wait_is_read(headers: str, expected_ms: int | None) -> None:
    async with (
        RawServer(whole("{}", "429 Slow down", headers)) as server,
        Scene(Upstream(name="raw", base_url=server.origin, model="tiny")) as scene,
    ):
        assert (await scene.failure("hi")).retry_after_ms == expected_ms


async def test_weights_share_the_jobs_of_one_order() -> None:
    async with (
        FakeUpstream("a") as a,
        FakeUpstream("b") as b,
        FakeUpstream("spare") as spare,
        Scene(at(a, weight=3), at(b, weight=1), at(spare, order=1)) as scene,
    ):
        chosen = [await scene.upstream_of() for _ in range(12)]
        assert Counter(chosen) == {"a": 9, "b": 3}
        assert all(Counter(chosen[n : n + 4])["b"] == 1 for n in (0, 4, 8)), "spread evenly"


async def test_orders_are_tried_from_the_lowest() -> None:
    async with FakeUpstream("good") as good, FakeUpstream("bad", "[[fault:500]]") as bad:
        ups = (at(good, order=7), at(bad, order=3), on_port(NOWHERE, 9))
        async with Scene(*ups) as scene:
            assert await scene.upstream_of() == "good"
            assert bad.requests == 1


@pytest.mark.failure("upstream", "down")
async def test_a_breaker_opens_and_closes_for_its_upstream_alone() -> None:
    async with (
        FakeUpstream("bad", "[[fault:500]]") as bad,
        FakeUpstream("good") as good,
        Scene(at(bad), at(good, order=1)) as scene,
    ):
        for _ in range(9):
            assert await scene.upstream_of() == "good"
        assert bad.requests == 5, "five failures open it, and then it is left alone"
        assert scene.engines.get(at(good)).breaker.state == "closed"
        scene.clock.now += 1.5
        await scene.upstream_of()
        await scene.upstream_of()
        assert bad.requests == 6, "one probe a second"
        bad.script = ""
        scene.clock.now += 1.5
        assert [await scene.upstream_of() for _ in range(3)] == ["bad"] * 3


@pytest.mark.failure("upstream", "full")
async def test_an_overloaded_upstream_is_not_a_broken_one() -> None:
    async with FakeUpstream("busy", "[[fault:429]]") as busy, Scene(at(busy)) as scene:
        for _ in range(8):
            await scene.failure("hi")
        assert busy.requests == 8


async def test_with_every_breaker_open_a_job_fails_at_once() -> None:
    async with FakeUpstream("bad", "[[fault:500]]") as bad, Scene(at(bad)) as scene:
        for _ in range(5):
            await scene.failure("hi")
        failed = await scene.failure("hi")
        assert (failed.kind, failed.status) == (FailureKind.UNREACHABLE, 0)
        assert bad.requests == 5


async def test_a_probe_closes_the_breaker_with_its_head() -> None:
    """A long probe must not keep every other job away until it ends."""
    async with FakeUpstream("bad", "[[fault:500]]") as bad, Scene(at(bad)) as scene:
        for _ in range(5):
            await scene.failure("hi")
        bad.script = ""
        scene.clock.now += 1.5
        probe = scene.submit("[[fault:hang_midway]]")
        assert await soon(probe) == Started("bad")
        assert await scene.upstream_of() == "bad"
