"""The suite itself: it finds what is missing, survives any server, and says what it saw."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from conformance.command import main
from conformance.events import last_response, require_gapless, require_known
from conformance.groups import __all__ as _groups
from conformance.hooks import Hooks
from conformance.registry import CHECKS, GROUPS, Check, Result, chosen
from conformance.results import Line, Run, load, save
from conformance.runner import run_checks
from conformance.server import Server, Target
from conformance.tables import markdown, side_by_side
from conformance.upstream import Upstream
from conformance.verdicts import Failed

assert _groups  # importing them registered the checks

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(answer: Serve) -> AsyncIterator[str]:
    """Yield the base URL of a server; at the end wait until every connection is closed."""
    connections: set[asyncio.Task[Any]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(connection, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    await asyncio.gather(*connections)


@pytest.fixture
async def engine() -> AsyncIterator[Target]:
    """The suite's own engine, which keeps no state: no stateful promise can hold there."""
    async with listening(Upstream(0.0).connection) as url:
        yield Target(base_url=url, api_key="none", model="counter", echo_model="echo")


async def judge(target: Target, *groups: str) -> dict[str, Result]:
    lines = await run_checks(chosen(groups), target, lambda line: None)
    return {line.check: line.result for line in lines}


def test_every_check_says_what_it_promises_and_where_that_is_written() -> None:
    assert {check.group for check in CHECKS} == set(GROUPS)
    names = [(check.group, check.name) for check in CHECKS]
    assert len(set(names)) == len(names)
    assert [check.name for check in CHECKS if "Documented:" not in check.promise] == []
    assert [name for name in names if len(name[1]) > 47] == []


async def test_an_engine_alone_passes_what_needs_no_state(engine: Target) -> None:
    assert set((await judge(engine, "models")).values()) <= {Result.OK, Result.REFUSED}
    found = await judge(engine, "response events")
    assert found.pop("shown, done and stored texts are equal") is not Result.OK
    assert found.pop("ids stay the same") is Result.OK
    assert set(found.values()) == {Result.OK}
    calls = await judge(engine, "function calls")
    assert (calls["chat: there and back"], calls["responses: events"]) == (Result.OK, Result.OK)


async def test_an_engine_alone_fails_what_needs_state(engine: Target) -> None:
    history = await judge(engine, "response history")
    assert history["a turn sees the one before"] is Result.FAILS
    assert history["an unknown previous response is refused"] is Result.FAILS
    assert history["instructions are not inherited"] is Result.OK
    for group in ("stored chat", "conversations"):
        assert Result.OK not in (await judge(engine, group)).values(), group
    auth = await judge(engine, "auth")
    assert set(auth.values()) == {Result.FAILS}


async def test_without_hooks_nothing_is_hurt(engine: Target) -> None:
    assert set((await judge(engine, "durability")).values()) == {Result.NO_HOOK}


async def serving(answer: Serve, check: Check) -> Line:
    """Return how a check ends at a server that answers like this."""
    async with listening(answer) as url:
        target = Target(base_url=url, api_key="none", model="any")
        return (await run_checks([check], target, lambda line: None))[0]


async def test_a_server_that_hangs_costs_a_bounded_time() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    line = await serving(hang, replace(chosen(["models"])[0], budget_s=0.2))
    assert (line.result, line.seen) == (Result.FAILS, "not done after 0 s")


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"data": 17}', b"<html>", b'{"data": [{"id": 1}]}']
)
async def test_an_answer_of_any_shape_is_a_failing_check(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()

    for check in chosen(["models", "chat", "responses", "response events"])[::6]:
        line = await serving(answer, check)
        assert line.result is Result.FAILS, line
        assert line.seen


async def test_nobody_there_is_a_failing_check() -> None:
    target = Target(base_url="http://127.0.0.1:9/v1", api_key="none", model="any")
    lines = await run_checks(chosen(["models"]), target, lambda line: None)
    assert {line.result for line in lines} == {Result.FAILS}
    assert "connection" in lines[0].seen


def event(number: int, **members: Any) -> ResponseStreamEvent:
    adapter: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
    told = {
        "type": "response.output_text.delta", "sequence_number": number, "item_id": "msg_1",
        "output_index": 0, "content_index": 0, "delta": "word", "logprobs": [],
    } | members  # fmt: skip
    return adapter.validate_python(told)


def test_gaps_repeats_and_missing_ends_are_seen() -> None:
    assert require_gapless([event(0), event(1)]) == 1
    for numbers in ((1, 2), (0, 2), (0, 0)):
        with pytest.raises(Failed):
            require_gapless([event(number) for number in numbers])
    for stream in ([], [event(0)]):
        with pytest.raises(Failed):
            last_response(stream)


def test_an_event_that_the_sdk_does_not_know_is_seen() -> None:
    require_known(event(0))
    lacking = event(0)
    del lacking.item_id  # type: ignore[union-attr]
    with pytest.raises(Failed, match=r"delta: item_id"):
        require_known(lacking)
    unknown = event(0)
    unknown.type = "response.output_text.sung"  # type: ignore[assignment]
    with pytest.raises(Failed, match="knows no"):
        require_known(unknown)


async def test_hooks_are_run_in_order_and_the_storage_is_always_healed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    hooks = Hooks(**{word: f"echo {word} >> {told}" for word in ("stall", "heal")})
    with pytest.raises(ZeroDivisionError):
        async with hooks.stalled():
            raise ZeroDivisionError
    assert told.read_text().split() == ["stall", "heal"]
    with pytest.raises(Failed, match="ended with 3"):
        async with replace(hooks, stall="exit 3").stalled():
            raise AssertionError


def test_the_comparison_is_made_from_the_saved_results() -> None:
    results = Path(__file__).parent.parent.parent / "conformance" / "results"
    runs = [load(path) for path in sorted(results.glob("*.json"))]
    assert (results / "comparison.md").read_text() == markdown(runs) + "\n"


def run_of(server: str, *results: Result) -> Run:
    lines = tuple(
        Line(group="items", check=f"check {n}", result=result, seen="a `word`", seconds=0.1)
        for n, result in enumerate(results)
    )
    return Run(server=server, date="2026-01-02", model="m", suite="1", sdk="3", lines=lines)


def test_saved_results_are_compared(tmp_path: Path) -> None:
    runs = [run_of("one 1.0", Result.OK, Result.OK), run_of("other 2.0", Result.FAILS)]
    for run in runs:
        save(run, tmp_path / run.server)
    assert [load(tmp_path / run.server) for run in runs] == runs
    rows = [line.split() for line in side_by_side(runs).splitlines()]
    assert ["items", "check", "0", "ok", "fails"] in rows
    assert ["items", "check", "1", "ok", "-"] in rows
    text = markdown(runs)
    assert "| items | check 0 | ok | fails |" in text
    assert "- items, check 0: `a 'word'`" in text


async def test_the_command_prints_a_table_and_its_status_tells(
    engine: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "found.json"

    async def status(*arguments: str) -> int:
        return await asyncio.to_thread(main, [*arguments])

    common = ("--base-url", engine.base_url, "--name", "engine 1")
    chat = ("--only", "chat", "--json", str(saved))
    assert await status(*common, *chat) == 1  # it has no request ids
    told = capsys.readouterr().out
    assert "stream ends with [DONE]" in told
    assert "engine 1: " in told.splitlines()[-1]
    assert json.loads(saved.read_text())["server"] == "engine 1"
    assert await status(*common, "--only", "durability") == 0
    assert "skipped-no-hook" in capsys.readouterr().out
    assert await status("--compare", str(saved), str(saved), "--markdown") == 0
    assert "| chat | n choices | ok | ok |" in capsys.readouterr().out
    assert await status("--base-url", "http://127.0.0.1:9/v1") == 2
    with pytest.raises(SystemExit):
        main(["--base-url", "x", "--only", "nothing"])
    assert "no group nothing" in capsys.readouterr().err


def test_the_help_is_shown_without_a_server() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "--help"],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "--hook-restart" in done.stdout


async def test_a_check_has_a_connection_of_its_own(engine: Target) -> None:
    async with Server(engine) as one, Server(engine) as other:
        assert one.client is not other.client
        assert (await one.client.models.list()).data
