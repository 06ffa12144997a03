"""Asking a moderation endpoint: what is asked and understood, and all that can go wrong."""

import asyncio
import json

import pytest

from axon.base import SystemClock
from axon.inference import Moderator, ModeratorOptions, Proxies
from axon.inference.moderation import RUNNING_MAX, TEXT_CHARS_MAX
from tests.inference.raw_server import RawServer, whole
from tests.inference.test_retriever import LONG_MS, Silent

CLEAN = '{"id":"modr-1","model":"m","results":[{"flagged":false,"categories":{"hate":false}}]}'
HATE = '{"results":[{"flagged":true,"categories":{"hate":true,"violence":false,"new":null}}]}'


def moderator(url: str, timeout_ms: int = LONG_MS) -> Moderator:
    options = ModeratorOptions(url=url, key="secret", model="m", timeout_ms=timeout_ms)
    return Moderator(options, Proxies(), SystemClock())


async def test_it_is_asked_as_openai_is_and_its_categories_are_kept() -> None:
    async with RawServer(whole(CLEAN), whole(HATE)) as server:
        asking = moderator(f"{server.origin}/v1/moderations")
        said = await asking.ask("a text \ud800")
        assert (said.outcome, said.categories, said.known) == ("clean", (), True)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v1/moderations HTTP/1.1")
        assert b"authorization: Bearer secret" in head
        assert json.loads(body) == {"model": "m", "input": "a text ?"}
        said = await asking.ask("another")
        assert (said.outcome, said.categories) == ("flagged", ("hate",))
        assert (await asking.ask("x" * (TEXT_CHARS_MAX + 1))).outcome == "too_large"
        await asking.close()


@pytest.mark.failure("moderation", "corrupt")
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (whole("{"), "failed"),
        (whole('{"results":[{}]}'), "failed"),
        (whole('{"results":[]}'), "failed"),
        (whole('{"results":[{"flagged":"\\ud800"}]}'), "failed"),
        (b"nonsense\r\n\r\n", "failed"),
        (whole("x" * 5 * 2**20), "too_large"),
        (whole(json.dumps({"results": [], "more": "x" * 70_000})), "too_large"),
    ],
)
async def test_what_is_no_answer_counts_as_none(answer: bytes, outcome: str) -> None:
    async with RawServer(answer) as server:
        asking = moderator(server.origin)
        said = await asking.ask("a text")
        assert (said.outcome, said.known) == (outcome, False)
        await asking.close()


@pytest.mark.failure("moderation", "down")
async def test_one_that_is_away_is_left_alone_and_found_again() -> None:
    no = whole("{}", "500 No")
    async with RawServer(no, no, no, no, no, whole(CLEAN), close=False) as server:
        asking = moderator(server.origin)
        outcomes = [(await asking.ask("a text")).outcome for _ in range(6)]
        assert outcomes == ["failed"] * 5 + ["away"]
        health = asking.health
        assert not health.up and "500" in health.reason
        said = await asking.ask("a text")
        while said.outcome == "away":
            await asyncio.sleep(0.05)
            said = await asking.ask("a text")
        health = asking.health
        assert said.known and health.up
        await asking.close()


@pytest.mark.failure("moderation", "frozen")
@pytest.mark.failure("moderation", "slow")
async def test_one_that_says_nothing_is_waited_for_as_long_as_is_set() -> None:
    async with Silent() as server:
        asking = moderator(server.url, timeout_ms=200)
        assert (await asking.ask("a text")).outcome == "slow"
        await asking.close()


async def test_too_many_at_once_are_not_asked() -> None:
    async with Silent() as server:
        asking = moderator(server.url)
        waiting = [asyncio.ensure_future(asking.ask("a text")) for _ in range(RUNNING_MAX)]
        while len(server.asked) < RUNNING_MAX:
            await asyncio.sleep(0.01)
        assert (await asking.ask("a text")).outcome == "busy"
        for writer in server.asked:
            writer.write(whole(CLEAN))
        assert {said.outcome for said in await asyncio.gather(*waiting)} == {"clean"}
        await asking.close()
