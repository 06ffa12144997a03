"""What becomes of an upstream's answer, good or bad; most answers here are written by hand."""

import json
from dataclasses import replace

import pytest

from axon.inference import (
    FailureKind,
    JobDone,
    JobFailed,
    JobOutput,
    SseBytes,
    Started,
    Upstream,
    WholeBody,
    local_bus,
)
from axon.inference import answer as answers
from axon.inference.answer import ERROR_BYTES_MAX
from axon.inference.http.connection import HEAD_BYTES_MAX
from axon.inference.http.pool import AGE_S_MAX, IDLE_S_MAX
from axon.inference.sse import EVENT_BYTES_MAX
from tests.fake_upstream import FakeUpstream
from tests.inference.raw_server import LAST_CHUNK, RawServer, stream, whole
from tests.inference.scene import Scene, at, read, said, soon

A, B, DONE = "data: a\n\n", "data: b\n\n", "data: [DONE]\n\n"
TO_THE_END = ""
"""No framing: the body ends where the connection does."""


def raw(server: RawServer) -> Upstream:
    return Upstream(name="raw", base_url=server.origin, model="tiny")


async def answered(*given: bytes | None, streamed: bool = True) -> list[JobOutput]:
    """Return what a job makes of these answers, the last of which closes the connection."""
    async with RawServer(*given) as server, Scene(raw(server)) as scene:
        outputs = await scene.outputs("hi", streamed)
        assert not server.answers, "every answer was asked for"
        return outputs


def broken(output: JobOutput, shown: bool) -> None:
    assert isinstance(output, JobFailed), output
    assert (output.kind, output.shown) == (FailureKind.BROKEN, shown)


async def test_a_stream_is_passed_on_as_it_was_sent() -> None:
    async with FakeUpstream() as fake, Scene(at(fake, key="sk-up")) as scene:
        outputs = await scene.outputs("[[text:one two]]", temperature=0)
        assert outputs[0] == Started("fake")
        assert outputs[-1] == JobDone()
        events = said(outputs).decode().split("\n\n")
        assert [event[:6] for event in events] == ["data: "] * (len(events) - 1) + [""]
        assert events[-2] == "data: [DONE]"
        [seen] = fake.ledger
        assert seen.path == "/v1/chat/completions"
        assert seen.headers["authorization"] == "Bearer sk-up"
        assert seen.body == {
            "model": "tiny",
            "messages": [{"role": "user", "content": "[[text:one two]]"}],
            "temperature": 0,
            "stream": True,
        }


async def test_an_unstreamed_answer_comes_whole() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        (body,) = await scene.outputs("[[text:one two]]", streamed=False)
        assert isinstance(body, WholeBody)
        assert body.upstream == "fake"
        assert json.loads(body.data)["choices"][0]["message"]["content"] == "one two"


async def test_what_one_read_brought_is_one_output() -> None:
    events = [f"data: token {number}\n\n" for number in range(64)]
    outputs = await answered(stream(*events) + LAST_CHUNK)
    assert outputs == [Started("raw"), SseBytes("".join(events).encode()), JobDone()]


@pytest.mark.parametrize("line_end", ["lf", "crlf", "cr"])
async def test_a_stream_in_single_bytes_leaves_in_events(line_end: str) -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        running = scene.submit(f"[[fault:split]][[line_end:{line_end}]]")
        blank = {"lf": b"\n\n", "crlf": b"\r\n\r\n", "cr": b"\r\r"}[line_end]
        outputs = [await soon(running)]
        while not isinstance(outputs[-1], JobDone):
            outputs.append(await soon(running))
        pieces = [one.data for one in outputs if isinstance(one, SseBytes)]
        assert all(piece.endswith(blank) for piece in pieces)
        assert b"".join(pieces).count(b"data: ") == 5


@pytest.mark.failure("upstream", "lying")
@pytest.mark.parametrize("fault", ["early_close", "broken_chunk"])
async def test_a_stream_that_breaks_off_is_no_answer(fault: str) -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        _, events, failed = await scene.outputs(f"[[fault:{fault}]][[chunks:4]]")
        assert isinstance(events, SseBytes)
        assert events.data.count(b"data: ") == 2
        broken(failed, shown=True)


async def test_a_whole_body_that_breaks_off_is_no_answer() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        [failed] = await scene.outputs("[[fault:early_close]]", streamed=False)
        broken(failed, shown=False)


@pytest.mark.failure("upstream", "corrupt")
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        None,
    ],
    ids=["not-http", "bad-header", "half-a-head", "nothing"],
)
async def test_a_broken_head_is_no_answer(answer: bytes | None) -> None:
    [failed] = await answered(answer)
    broken(failed, shown=False)


async def test_a_head_has_a_bound() -> None:
    in_one_header = f"x-big: {'x' * HEAD_BYTES_MAX}\r\n"
    in_many = f"x-some: {'x' * 100}\r\n" * (HEAD_BYTES_MAX // 100)
    for extra in (in_one_header, in_many):
        [failed] = await answered(whole("{}", extra=extra), streamed=False)
        broken(failed, shown=False)
    endless = b"HTTP/1.1 200 OK\r\nx-endless: " + b"x" * HEAD_BYTES_MAX
    async with RawServer(endless, None, close=False) as server, Scene(raw(server)) as scene:
        broken(await scene.failure("hi"), shown=False)
    outputs = await answered(
        whole("{}", extra=f"x: {'x' * (HEAD_BYTES_MAX // 2)}\r\n"), streamed=False
    )
    assert said(outputs) == b"{}"


@pytest.mark.failure("engine", "lying")
async def test_an_event_has_a_bound() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        failed = await scene.failure(f"[[fault:big_event:{EVENT_BYTES_MAX + 300_000}]]")
        broken(failed, shown=True)
        whole_event = await scene.outputs(f"[[fault:big_event:{EVENT_BYTES_MAX // 2}]]")
        assert len(said(whole_event)) > EVENT_BYTES_MAX // 2


async def test_bodies_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "WHOLE_BYTES_MAX", 2000)
    monkeypatch.setattr(answers, "STREAM_BYTES_MAX", 2000)
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        broken(await scene.failure("[[fault:big_event:3000]]", streamed=False), shown=False)
        broken(await scene.failure("[[pad:2000]][[delay_ms:1]]"), shown=False)
        assert scene.engines.get(at(fake)).pool.open_connections == 0


async def test_an_errors_body_is_cut() -> None:
    error = "x" * (2 * ERROR_BYTES_MAX)
    [failed] = await answered(whole(error, "400 Bad Request"))
    assert isinstance(failed, JobFailed)
    assert (failed.kind, failed.status) == (FailureKind.REJECTED, 400)
    assert failed.body == error[:ERROR_BYTES_MAX].encode()


async def test_a_stream_without_framing_ends_only_with_its_last_event() -> None:
    outputs = await answered(stream(A, DONE, framing=TO_THE_END))
    assert outputs == [Started("raw"), SseBytes((A + DONE).encode()), JobDone()]
    outputs = await answered(stream(A, B, framing=TO_THE_END))
    broken(outputs[-1], shown=True)
    body = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}"
    broken((await answered(body, streamed=False))[-1], shown=False)


async def test_a_stream_was_asked_for_and_must_be_one() -> None:
    [failed] = await answered(whole("{}"))
    broken(failed, shown=False)


async def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    assert said(await answered(interim + whole("{}"), streamed=False)) == b"{}"


async def test_connections_are_kept_and_used_again() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        for text in ("one", "[[fault:500]]", "two"):
            await scene.outputs(text)
            await scene.outputs(text, streamed=False)
        assert fake.connections == 1


async def test_old_and_long_idle_connections_are_not_used_again() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        for connections, seconds in ((1, IDLE_S_MAX + 1), (2, AGE_S_MAX - 1)):
            await scene.outputs("hi")
            assert fake.connections == connections
            scene.clock.now += seconds
        idle_for_long = await scene.outputs("hi")
        assert isinstance(idle_for_long[-1], JobDone)
        assert fake.connections == 3
        for _ in range(int(2 * AGE_S_MAX / IDLE_S_MAX) + 2):  # never idle, and yet replaced
            scene.clock.now += IDLE_S_MAX / 2
            await scene.outputs("hi")
        assert fake.connections == 4


async def test_a_stale_connection_is_replaced_once() -> None:
    async with (
        RawServer(whole("{}"), None, whole("[]"), close=False) as server,
        Scene(raw(server)) as scene,
    ):
        await scene.outputs("hi", streamed=False)
        assert said(await scene.outputs("hi", streamed=False)) == b"[]"
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_fresh_connection_is_not_replaced() -> None:
    async with (
        RawServer(whole("{}"), None, None, close=False) as server,
        Scene(raw(server)) as scene,
    ):
        await scene.outputs("hi", streamed=False)
        broken(await scene.failure("hi", streamed=False), shown=False)
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_connection_that_began_to_answer_is_not_replaced() -> None:
    async with (
        RawServer(whole("{}"), b"HTTP/1.1 2", close=False) as server,
        Scene(raw(server)) as scene,
    ):
        await scene.outputs("hi", streamed=False)
        broken(await scene.failure("hi", streamed=False), shown=False)
        assert server.connections == 1


async def test_two_answers_to_one_request_cost_the_connection() -> None:
    twice = whole('{"n":1}') + whole('{"n":2}')
    async with (
        RawServer(twice, whole('{"n":3}'), close=False) as server,
        Scene(replace(raw(server), slots=1)) as scene,
    ):
        first, second = (scene.submit("hi", streamed=False) for _ in range(2))
        assert said(await read(first)) == b'{"n":1}'
        assert said(await read(second)) == b'{"n":3}', "it began within the first one's end"
        assert server.connections == 2


async def test_a_connection_that_was_paused_at_the_end_reads_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_bus, "BEHIND_BYTES", 1)
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        for _ in range(2):
            assert await scene.upstream_of() == "fake"
        assert fake.connections == 1
