"""People of two organizations who ask, wait, leave and cancel, and note what they were told."""

import asyncio
import itertools
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from httpx2 import HTTPError
from openai import APIError, AsyncOpenAI

MODEL = "fake-model"
PEOPLE = 12
PAUSE_S = 0.2
"""Between two questions of a person, about: a small machine needs room for recovery."""

CHUNKS_MAX = 30
DELAY_MS_MAX = 20
LEAVE_AFTER_MAX = 12
CANCEL_AFTER_S = 0.2
MARK = re.compile(r"q-\d+-q")
"""Names a question, wherever it is read."""

ENDED = ("completed", "incomplete", "failed", "cancelled")
_POLL_S = 0.1

MANNERS = {
    "whole": 3, "streamed": 4, "chat": 2, "chat streamed": 4, "left": 4, "chat left": 3,
    "background": 2, "cancelled": 4, "uncounted": 1, "failing": 1,
}  # fmt: skip
"""How people ask, and how often: `uncounted` are answers whose engine says no usage."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """One question and what its client was told."""

    mark: str
    manner: str
    turn_id: str = ""
    told: tuple[int, int] | None = None
    """Input and output tokens, by the end of an answer that was read to its end."""
    error: str = ""


@dataclass(slots=True)
class LedgerLoad:
    """Asks until told to stop; `asked` says what came of it."""

    clients: list[AsyncOpenAI]
    """One of each organization."""
    seed: int
    asked: list[Asked] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    async def run(self) -> None:
        """Return when `stop` is set and everybody has done with the last question."""
        await asyncio.gather(*(self._person(number) for number in range(PEOPLE)))

    async def _person(self, number: int) -> None:
        chance = random.Random(self.seed * PEOPLE + number)
        client = self.clients[number % len(self.clients)]
        acts: dict[str, Callable[..., Awaitable[None]]] = {
            "whole": _whole, "streamed": _streamed, "chat": _chat, "chat streamed": _chat_streamed,
            "left": _left, "chat left": _chat_left, "background": _background,
            "cancelled": _cancelled, "uncounted": _streamed, "failing": _streamed,
        }  # fmt: skip
        while not self.stop.is_set():
            (manner,) = chance.choices(list(MANNERS), weights=list(MANNERS.values()))
            asked = Asked(mark=f"q-{next(self._numbers)}-q", manner=manner)
            self.asked.append(asked)
            try:
                await acts[manner](client, _question(asked, chance), asked, chance)
            except (APIError, HTTPError) as error:
                asked.error = f"{type(error).__name__}: {error}"[:200]
            await asyncio.sleep(chance.random() * 2 * PAUSE_S)


def _question(asked: Asked, chance: random.Random) -> str:
    chunks = chance.randint(3, CHUNKS_MAX)
    markers = f"[[chunks:{chunks}]] [[delay_ms:{chance.randint(0, DELAY_MS_MAX)}]]"
    markers += f" [[cached:{chance.randint(0, 3)}]] [[written:{chance.randint(0, 2)}]]"
    markers += f" [[thought:{chance.randint(0, 3)}]]"
    if asked.manner == "uncounted":
        markers += " [[usage:none]]"
    if asked.manner == "failing":
        markers += chance.choice((" [[fault:500]]", " [[fault:error_midway]]"))
    words = "word " * chance.randint(0, 40)
    return f"{markers} please answer {words}{asked.mark}"


async def _whole(client: AsyncOpenAI, question: str, asked: Asked, _: random.Random) -> None:
    _note(asked, await client.responses.create(model=MODEL, input=question))


async def _streamed(client: AsyncOpenAI, question: str, asked: Asked, _: random.Random) -> None:
    async for event in await client.responses.create(model=MODEL, input=question, stream=True):
        if event.type == "response.created":
            asked.turn_id = event.response.id
        elif event.type == "response.completed":
            _note(asked, event.response)
        elif event.type in ("response.failed", "response.incomplete", "error"):
            asked.error = event.type


async def _left(client: AsyncOpenAI, question: str, asked: Asked, chance: random.Random) -> None:
    stream = await client.responses.create(model=MODEL, input=question, stream=True)
    left = chance.randint(1, LEAVE_AFTER_MAX)
    async for event in stream:
        if event.type == "response.created":
            asked.turn_id = event.response.id
        left -= 1
        if not left:
            break
    await stream.close()


async def _chat(client: AsyncOpenAI, question: str, asked: Asked, _: random.Random) -> None:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}]
    )
    asked.turn_id = answer.id
    if answer.usage is not None:
        asked.told = (answer.usage.prompt_tokens, answer.usage.completion_tokens)


async def _chat_streamed(
    client: AsyncOpenAI, question: str, asked: Asked, _: random.Random
) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        asked.turn_id = chunk.id
        if chunk.usage is not None:
            asked.told = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)


async def _chat_left(
    client: AsyncOpenAI, question: str, asked: Asked, chance: random.Random
) -> None:
    stream = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}], stream=True
    )
    left = chance.randint(1, LEAVE_AFTER_MAX)
    async for chunk in stream:
        asked.turn_id = chunk.id
        left -= 1
        if not left:
            break
    await stream.close()


async def _background(client: AsyncOpenAI, question: str, asked: Asked, _: random.Random) -> None:
    """Ask, and look again and again; where nobody answers meanwhile, the client gives up."""
    answer = await client.responses.create(model=MODEL, input=question, background=True)
    asked.turn_id = answer.id
    while answer.status not in ENDED:
        await asyncio.sleep(_POLL_S)
        answer = await client.responses.retrieve(asked.turn_id)
    _note(asked, answer)


async def _cancelled(
    client: AsyncOpenAI, question: str, asked: Asked, chance: random.Random
) -> None:
    answer = await client.responses.create(model=MODEL, input=question, background=True)
    asked.turn_id = answer.id
    await asyncio.sleep(chance.random() * 2 * CANCEL_AFTER_S)
    await client.responses.cancel(asked.turn_id)


def _note(asked: Asked, answer: Any) -> None:
    asked.turn_id = answer.id
    if answer.status == "completed":
        asked.told = (answer.usage.input_tokens, answer.usage.output_tokens)
