"""PostgreSQL gone and Valkey empty: a turn is answered without its history, says so, and stands in
its place afterwards, once, whatever dies in between."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway.conftest import RunningAxon, start_axon, stop
from tests.promises.outages import degraded, healed, processes_of, signal_all, status
from tests.promises.reading import read_conversation_async, shown_to_the_model, until_shown

MODEL = "fake-model"


@contextlib.asynccontextmanager
async def nothing_remembered(axon: RunningAxon) -> AsyncIterator[None]:
    """Take PostgreSQL away for a while, with a Valkey that came back empty; then kill it."""
    await healed(axon.origin)
    signal_all(axon, "postgres", signal.SIGSTOP)
    try:
        os.kill(processes_of(axon, "valkey")[0], signal.SIGKILL)
        await degraded(axon.origin, "postgresql")
        while "valkey" in (await asyncio.to_thread(status, axon.origin))["degraded"]:
            await asyncio.sleep(0.05)
        yield
    finally:
        signal_all(axon, "postgres", signal.SIGKILL)
    await healed(axon.origin)


def question(name: str, number: int) -> str:
    return f"{name} question {number} [[text:answer {number}]]"


def expected(name: str, numbers: range) -> list[str]:
    """Return what was asked and answered."""
    return [text for number in numbers for text in (question(name, number), f"answer {number}")]


async def ask(client: openai.AsyncOpenAI, conversation_id: str, number: int) -> tuple[str, str]:
    """Take a turn; return its id and what it was made without."""
    told = await client.responses.with_raw_response.create(
        model=MODEL, input=question(conversation_id, number), conversation=conversation_id
    )
    answer = told.parse()
    assert answer.output_text == f"answer {number}"
    return answer.id, told.headers.get("axon-degraded", "")


async def ask_again(client: openai.AsyncOpenAI, conversation_id: str, number: int) -> Any:
    """Take the turn once more, as a retry does; return what is told, with its headers."""
    return await client.responses.with_raw_response.create(
        model=MODEL,
        input=question(conversation_id, number),
        conversation=conversation_id,
        extra_headers={"x-stainless-retry-count": "1"},
    )


async def ask_streamed(client: openai.AsyncOpenAI, conversation_id: str, number: int) -> str:
    """Take a turn told as it grows; return what it was made without."""
    asked = question(conversation_id, number)
    told = await client.responses.with_raw_response.create(
        model=MODEL, input=asked, conversation=conversation_id, stream=True
    )
    assert [event.type async for event in told.parse()][-1] == "response.completed"
    return str(told.headers.get("axon-degraded", ""))


async def seen_by_the_model(axon: RunningAxon, name: str, number: int) -> list[str]:
    """Return what the model was shown last for this question, as texts."""
    word = f"{name} question {number} "
    shown = await asyncio.to_thread(shown_to_the_model, axon.upstream, word)
    return [text for _, text in shown[-1]]


async def texts(client: openai.AsyncOpenAI, conversation_id: str) -> list[str]:
    return [message.text for message in await read_conversation_async(client, conversation_id)]


@pytest.fixture
async def client(own_axon: RunningAxon) -> AsyncIterator[openai.AsyncOpenAI]:
    async with own_axon.async_client() as opened:
        yield opened


async def old_conversation(client: openai.AsyncOpenAI, turns: int = 2) -> str:
    made = await client.conversations.create()
    for number in range(turns):
        await ask(client, made.id, number)
    return made.id


@pytest.mark.failure("postgresql", "down")
async def test_a_turn_without_its_history_gets_its_place_in_it(
    own_axon: RunningAxon, client: openai.AsyncOpenAI
) -> None:
    name = await old_conversation(client)
    async with nothing_remembered(own_axon):
        turn_id, without = await ask(client, name, 2)
        assert "history" in without
        assert await seen_by_the_model(own_axon, name, 2) == [question(name, 2)]
        again = await ask_again(client, name, 2)
        assert again.headers["axon-degraded"] == "history"
        retried = again.parse()
        assert (retried.id, retried.output_text) == (turn_id, "answer 2")
        fetched = await client.responses.retrieve(turn_id)
        assert (fetched.status, fetched.output_text) == ("completed", "answer 2")
        assert "history" in await ask_streamed(client, name, 3)
        seen = await seen_by_the_model(own_axon, name, 3)
        assert seen == [*expected(name, range(2, 3)), question(name, 3)]
        with pytest.raises(openai.NotFoundError):
            await client.responses.create(
                model=MODEL, input="x", conversation=name, user="somebody else"
            )
        behind = await client.responses.create(
            model=MODEL, input=question(name, 4), conversation=name, background=True
        )
        while behind.status in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
            behind = await client.responses.retrieve(behind.id)
        assert (behind.status, behind.output_text) == ("completed", "answer 4")
    _, without = await ask(client, name, 5)
    assert without == ""
    assert await seen_by_the_model(own_axon, name, 5) == expected(name, range(6))[:-1]
    assert await texts(client, name) == expected(name, range(6))
    fetched = await client.responses.retrieve(turn_id)
    assert (fetched.status, fetched.output_text) == ("completed", "answer 2")
    await healed(own_axon.origin)
    assert await texts(client, name) == expected(name, range(6))


@pytest.mark.failure("postgresql", "down")
async def test_the_serving_process_dies_before_the_turns_have_their_places(
    own_axon: RunningAxon, client: openai.AsyncOpenAI
) -> None:
    """Once while PostgreSQL is away, once when it is back and a turn that runs keeps the others
    from their places: by then it has read all the journal, which must be read again all the same.
    """
    name = await old_conversation(client)
    patient = client.with_options(max_retries=10)
    slow = f"{question(name, 5)}[[first_ms:4000]]"
    async with nothing_remembered(own_axon):
        turn_id, _ = await ask(client, name, 2)
        assert "history" in await ask_streamed(client, name, 3)
        kill(own_axon, "serving")
        _, without = await ask(patient, name, 4)
        assert "history" in without
        seen = await seen_by_the_model(own_axon, name, 4)
        assert seen == [*expected(name, range(2, 4)), question(name, 4)]
        running = asyncio.create_task(
            client.responses.create(model=MODEL, input=slow, conversation=name)
        )
        await until_shown(own_axon.upstream, f"{name} question 5")
    fetched = await client.responses.retrieve(turn_id)
    assert (fetched.status, fetched.output_text) == ("completed", "answer 2")
    kill(own_axon, "serving")
    with contextlib.suppress(openai.APIConnectionError):  # unless it was quicker than PostgreSQL
        await running
    await ask(patient, name, 6)
    every = [*expected(name, range(5)), slow, "answer 5", *expected(name, range(6, 7))]
    assert await seen_by_the_model(own_axon, name, 6) == every[:-1]
    await healed(own_axon.origin)
    assert await texts(client, name) == every
    kill(own_axon, "serving")
    assert await texts(patient, name) == every
    fetched = await patient.responses.retrieve(turn_id)
    assert (fetched.status, fetched.output_text) == ("completed", "answer 2")


def kill(axon: RunningAxon, role: str) -> None:
    pids = json.loads((axon.data / "up.json").read_text())["pids"]
    os.kill(pids[role][0], signal.SIGKILL)


async def follow(client: openai.AsyncOpenAI, word: str, number: int, before: str | None) -> Any:
    return await client.responses.with_raw_response.create(
        model=MODEL, input=question(word, number), previous_response_id=before
    )


async def test_a_chain_of_responses_goes_on_too(
    own_axon: RunningAxon, client: openai.AsyncOpenAI
) -> None:
    first = (await follow(client, "chain", 0, None)).parse()
    last = (await follow(client, "chain", 1, first.id)).parse()
    await healed(own_axon.origin)
    kill(own_axon, "serving")  # it remembers where its responses stand
    await client.with_options(max_retries=10).models.list()
    async with nothing_remembered(own_axon):
        told = await follow(client, "chain", 2, last.id)
        assert "history" in told.headers["axon-degraded"]
        alone = told.parse()
        assert await seen_by_the_model(own_axon, "chain", 2) == [question("chain", 2)]
        branch = (await follow(client, "chain", 7, first.id)).parse()
        await follow(client, "chain", 3, alone.id)
        assert "question 2" in (await seen_by_the_model(own_axon, "chain", 3))[0]
    await follow(client, "chain", 4, alone.id)
    seen = await seen_by_the_model(own_axon, "chain", 4)
    assert seen == [*expected("chain", range(3)), question("chain", 4)]
    await follow(client, "chain", 8, branch.id)
    seen = await seen_by_the_model(own_axon, "chain", 8)
    asked = [question("chain", 7), "answer 7", question("chain", 8)]
    assert seen == [*expected("chain", range(1)), *asked]


async def test_it_may_be_refused_instead(tmp_path: Path, upstream_address: str) -> None:
    refuse = {"AXON_TURNS_HISTORY_UNAVAILABLE": "refuse"}
    process, running = start_axon(tmp_path / "refusing", upstream_address, environment=refuse)
    try:
        async with running.async_client() as client:
            name = await old_conversation(client)
            async with nothing_remembered(running):
                with pytest.raises(openai.InternalServerError) as caught:
                    await ask(client, name, 2)
                assert caught.value.status_code == 503
                assert "retry-after-ms" in caught.value.response.headers
            await ask(client, name, 2)
            assert await texts(client, name) == expected(name, range(3))
    finally:
        stop(process)
