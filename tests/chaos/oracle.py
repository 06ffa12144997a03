"""The oracle: people who chat through the official SDK, and write down what they were promised.

A process of its own, outside Axon: `python -m tests.chaos.oracle --base-url U --api-key K
--ledger FILE`. Runs until SIGTERM, then lets the turns under way end. It never retries: what a
client was told once is what counts. With `--persistent` its people do what a good client does: the
SDK's retries, and a stream that was cut is resumed behind the last event they saw. With `--padding`
their questions are long.
"""

import argparse
import asyncio
import itertools
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from httpx2 import HTTPError
from openai import APIError, APIStatusError, AsyncOpenAI
from openai.types.responses import ResponseStreamEvent

from tests.chaos.engine import question
from tests.chaos.ledger import Attempt, Ledger

PEOPLE = 32
RETRIES_MAX = 8
"""Of the SDK, for a persistent client; they take up to a minute together."""
RESUMED_MAX = 8
"""How often a stream is resumed; each time somebody else may be killed."""
RESUME_AFTER_S = 0.5
SHARED_BY = 4
"""So many people of the last quarter use one conversation: they queue for it and are refused."""
TURNS_PER_CONVERSATION = 20
TIMEOUT_S = 30.0
PAUSE_AFTER_REFUSAL_S = 0.3
"""Thirty people who try again at once would take from a recovering Axon the CPU it needs."""
DRAIN_S = 45.0


@dataclass(slots=True)
class Seat:
    """The conversation that one person, or a few, are having; a new one after some turns."""

    conversation: str = ""
    turns: int = TURNS_PER_CONVERSATION


class Oracle:
    """Chats until told to stop and keeps the ledger."""

    def __init__(
        self, client: AsyncOpenAI, ledger: Ledger, people: int, *, persistent: bool, padding: int
    ) -> None:
        self._client = client
        self._people = people
        self._persistent = persistent
        self._padding = padding
        self._ledger = ledger
        self._numbers = itertools.count()
        self._mark_prefix = f"{time.monotonic_ns():x}"
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Seat everybody and return when all have left."""
        alone = self._people * 3 // 4
        seats = [Seat() for _ in range(alone)]
        shared = [Seat() for _ in range((self._people - alone) // SHARED_BY)]
        seats += [seat for seat in shared for _ in range(SHARED_BY)]
        people = [asyncio.create_task(self._chat(seat)) for seat in seats]
        await self.stop.wait()
        _, late = await asyncio.wait(people, timeout=DRAIN_S)
        for person in late:
            person.cancel()
        await asyncio.gather(*people)

    async def _chat(self, seat: Seat) -> None:
        while not self.stop.is_set():
            if seat.turns >= TURNS_PER_CONVERSATION and not await self._sit_down(seat):
                continue
            seat.turns += 1
            attempt = await self._attempt(seat.conversation)
            self._ledger.write(attempt)
            if not attempt.acknowledged:
                await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)

    async def _sit_down(self, seat: Seat) -> bool:
        try:
            created = await self._client.conversations.create()
        except APIError:
            await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)
            return False
        seat.conversation, seat.turns = created.id, 0
        return True

    async def _attempt(self, conversation: str) -> Attempt:
        mark = f"{self._mark_prefix}-{next(self._numbers)}"
        seen: dict[str, Any] = {"conversation": conversation, "mark": mark}
        seen |= {"sent_ns": time.monotonic_ns(), "acknowledged": False}
        try:
            raw = await self._client.responses.with_raw_response.create(
                model="chaos",
                input=question(mark, self._padding),
                conversation=conversation,
                stream=True,
                truncation="auto" if self._padding else "disabled",
            )
            seen["degraded"] = raw.headers.get("axon-degraded", "")
            async for event in raw.parse():
                _note(event, seen)
        except (APIError, HTTPError) as error:  # the SDK passes on a stream that broke as it is
            seen["error"] = _words(error)
            if self._persistent:
                await self._resume(seen, error)
        finally:
            seen.pop("number", None)
        return Attempt(ended_ns=time.monotonic_ns(), **seen)

    async def _resume(self, seen: dict[str, Any], error: Exception) -> None:
        """Follow the stream behind what was seen, until it ends or nobody says when it will."""
        for _ in range(RESUMED_MAX):
            if isinstance(error, APIStatusError) and not _hinted(error):
                break
            if "response_id" not in seen:
                break  # the SDK has tried again already, and nothing was ever shown
            await asyncio.sleep(RESUME_AFTER_S)
            try:
                stream = await self._client.responses.retrieve(
                    seen["response_id"], stream=True, starting_after=seen["number"]
                )
                async for event in stream:
                    _note(event, seen)
            except (APIError, HTTPError) as again:
                seen["error"], error = _words(again), again
                continue
            if not seen["acknowledged"] and not seen["error"].startswith("response."):
                seen["contradiction"] = "a resumed stream has no end"
            return
        if not isinstance(error, APIStatusError) or not _hinted(error):
            seen["unhinted"] = _words(error)


def _hinted(error: APIStatusError) -> bool:
    return "retry-after" in error.response.headers


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _note(event: ResponseStreamEvent, seen: dict[str, Any]) -> None:
    expected = seen.get("number", -1) + 1
    if event.sequence_number != expected:
        seen["contradiction"] = f"event {event.sequence_number} came for {expected}"
    seen["number"] = event.sequence_number
    if event.type == "response.created":
        seen["response_id"] = event.response.id
    elif event.type == "response.completed":
        seen["acknowledged"] = True
        seen["text"] = event.response.output_text
    elif event.type in {"response.failed", "response.incomplete", "error"}:
        seen["error"] = event.type


async def chat(chosen: argparse.Namespace) -> None:
    """Run the oracle until SIGTERM."""
    ledger = Ledger(chosen.ledger)
    client = AsyncOpenAI(
        base_url=chosen.base_url,
        api_key=chosen.api_key,
        max_retries=RETRIES_MAX if chosen.persistent else 0,
        timeout=TIMEOUT_S,
    )
    oracle = Oracle(
        client, ledger, chosen.people, persistent=chosen.persistent, padding=chosen.padding
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, oracle.stop.set)
    async with client:
        await oracle.run()
    ledger.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--persistent", action="store_true")
    parser.add_argument("--padding", type=int, default=0, help="random bytes in each question")
    asyncio.run(chat(parser.parse_args()))
