"""A steady mixture of everything clients do, through the official SDK, for as long as wanted.

What is kept at any time is bounded: conversations beyond CONVERSATIONS_KEPT are deleted, with what
was said in them. So whatever grows under this load, grows with time alone.
"""

import asyncio
import itertools
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from openai import APIError, AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

MODEL = "soak"
PEOPLE = 16
TURNS_PER_CONVERSATION = 12
CONVERSATIONS_KEPT = 64
"""Ended ones that may be taken up again; a few times as many as people."""

EVENTS_READ = 5
"""By a client that then goes away, in the middle of its stream."""

_QUESTION = "What does a write-ahead log promise, and what does it cost? Word {number}. " * 3


@dataclass(slots=True)
class Seat:
    """The conversation that one person is having; a new or an old one after some turns."""

    conversation: str = ""
    turns: int = TURNS_PER_CONVERSATION


@dataclass(slots=True)
class SoakLoad:
    """People who come at a steady rate; `done` and `failed` say how often they did what."""

    client: AsyncOpenAI
    rate_per_s: float
    seed: int
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _kept: deque[str] = field(default_factory=deque)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Return when `stop` is set and everybody has had the answer they waited for."""
        await asyncio.gather(*(self._person(number) for number in range(PEOPLE)))

    async def _person(self, number: int) -> None:
        choices = random.Random(self.seed * PEOPLE + number)
        every_s = PEOPLE / self.rate_per_s
        seat = Seat()
        loop = asyncio.get_running_loop()
        due_s = loop.time() + choices.random() * every_s
        while not self.stop.is_set():
            await asyncio.sleep(max(due_s - loop.time(), 0.0))
            due_s = max(due_s + every_s, loop.time() - every_s)  # who is late skips what he missed
            name, act = self._choose(seat, choices)
            await self._count(name, act)

    def _choose(
        self, seat: Seat, choices: random.Random
    ) -> tuple[str, Callable[[], Awaitable[None]]]:
        acts: list[tuple[str, int, Callable[[], Awaitable[None]]]] = [
            ("chat", 20, self._chat),
            ("chat streamed", 20, self._chat_streamed),
            ("turn", 20, lambda: self._turn(seat)),
            ("turn streamed", 20, lambda: self._turn_streamed(seat)),
            ("turn left by its client", 10, lambda: self._turn_left(seat)),
            ("turn tried twice", 10, lambda: self._turn_twice(seat)),
        ]
        if seat.turns >= TURNS_PER_CONVERSATION:
            return "conversation begun", lambda: self._sit_down(seat, choices)
        ((name, _, act),) = choices.choices(acts, weights=[weight for _, weight, _ in acts])
        seat.turns += name.startswith("turn")
        return name, act

    async def _count(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except (APIError, AssertionError) as error:
            self.failed[f"{name}: {type(error).__name__}: {error}"[:200]] += 1
        else:
            self.done[name] += 1

    def _question(self) -> str:
        return _QUESTION.format(number=next(self._numbers))

    async def _chat(self) -> None:
        answer = await self.client.chat.completions.create(model=MODEL, messages=self._messages())
        assert answer.choices[0].finish_reason == "stop"

    async def _chat_streamed(self) -> None:
        stream = await self.client.chat.completions.create(
            model=MODEL, messages=self._messages(), stream=True
        )
        reasons = [chunk.choices[0].finish_reason async for chunk in stream if chunk.choices]
        assert reasons[-1] == "stop"

    def _messages(self) -> list[ChatCompletionMessageParam]:
        return [{"role": "user", "content": self._question()}]

    async def _turn(self, seat: Seat) -> None:
        answer = await self.client.responses.create(
            model=MODEL, input=self._question(), conversation=seat.conversation, truncation="auto"
        )
        assert answer.status == "completed"

    async def _turn_streamed(self, seat: Seat) -> None:
        stream = await self.client.responses.create(
            model=MODEL,
            input=self._question(),
            conversation=seat.conversation,
            truncation="auto",
            stream=True,
        )
        seen = [event.type async for event in stream]
        assert seen[-1] == "response.completed", seen[-1]

    async def _turn_left(self, seat: Seat) -> None:
        stream = await self.client.responses.create(
            model=MODEL,
            input=self._question(),
            conversation=seat.conversation,
            truncation="auto",
            stream=True,
        )
        seen = 0
        async for _ in stream:
            seen += 1
            if seen == EVENTS_READ:
                break
        await stream.close()

    async def _turn_twice(self, seat: Seat) -> None:
        headers = {"Idempotency-Key": f"soak-{self.seed}-{next(self._numbers)}"}
        question, told = self._question(), set()
        for _ in range(2):
            answer = await self.client.responses.create(
                model=MODEL,
                input=question,
                conversation=seat.conversation,
                extra_headers=headers,
                truncation="auto",
            )
            told.add(answer.id)
        assert len(told) == 1, "both tries are one turn"

    async def _sit_down(self, seat: Seat, choices: random.Random) -> None:
        """Leave a conversation behind, delete what is too many, take up an old one or begin one."""
        if seat.conversation:
            self._kept.append(seat.conversation)
            seat.conversation = ""
        while len(self._kept) > CONVERSATIONS_KEPT:
            await self._delete(self._kept.popleft())
        if len(self._kept) == CONVERSATIONS_KEPT and choices.random() < 0.25:
            seat.conversation = self._kept.popleft()
        else:
            seat.conversation = (await self.client.conversations.create()).id
        seat.turns = 0

    async def _delete(self, conversation: str) -> None:
        await self.client.conversations.delete(conversation, extra_query={"items": "delete"})
        self.done["conversation deleted"] += 1
