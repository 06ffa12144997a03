"""The server under test as a check sees it: the official SDK, a model, and a few sentences."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, cast

from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, AsyncStream
from openai.types.conversations import Conversation, ConversationItem
from openai.types.responses import Response, ResponseStreamEvent

from conformance.hooks import Hooks
from conformance.verdicts import Failed, offered, require

CALL_TIMEOUT_S = 30.0
"""How long one call may take; the SDK's own default of ten minutes would hide a hang."""

READY_WITHIN_S = 60.0
"""How long a restarted server may take until it answers."""

SHORT = "Say hello."
LONG = "Count from 1 to 200, one number after another, separated by spaces. Do not shorten."

BRIEF = 64
"""Tokens enough for a short answer: a small model would ramble on, and the answer is not judged."""

LENGTHY = 800
"""Tokens enough to count to 200, and an end for a model that does not stop there."""

ENDED = frozenset({"completed", "incomplete"})
"""A small model may run into its own limit: both are proper ends of an answer."""

FINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What whoever runs the suite says about the server."""

    base_url: str
    api_key: str
    model: str
    stranger_key: str = ""
    echo_model: str = ""
    long_text: str = LONG
    hooks: Hooks = field(default_factory=Hooks)


class Server:
    """One check's own connection to the server; the checks share nothing."""

    def __init__(self, target: Target) -> None:
        """Open a client without the SDK's retries: a check wants to see every answer."""
        self.target = target
        self.model = target.model
        self.hooks = target.hooks
        self.client = self.client_with(target.api_key)

    def client_with(self, api_key: str, timeout_s: float = CALL_TIMEOUT_S) -> AsyncOpenAI:
        """Return a client of the official SDK with another key or patience."""
        return AsyncOpenAI(
            base_url=self.target.base_url, api_key=api_key, max_retries=0, timeout=timeout_s
        )

    async def __aenter__(self) -> "Server":
        """Return itself; the connection is made by the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.client.close()

    async def respond(self, said: Any = SHORT, **more: Any) -> Response:
        """Take one turn without a stream and return the response, which must have ended well."""
        create = cast(Any, self.client.responses.create)
        asked = self.bounded(said, more)
        response = cast(Response, await create(model=self.model, input=said, **asked))
        require(response.status in ENDED, f"the response is {response.status}")
        return response

    async def open_stream(self, said: Any = SHORT, **more: Any) -> AsyncStream[ResponseStreamEvent]:
        """Begin one streamed turn; closing the stream early hangs up."""
        create = cast(Any, self.client.responses.create)
        asked = self.bounded(said, more)
        stream = await create(model=self.model, input=said, stream=True, **asked)
        return cast("AsyncStream[ResponseStreamEvent]", stream)

    def bounded(self, said: Any, more: dict[str, Any]) -> dict[str, Any]:
        """Return the request's other fields with a bound for the answer, unless there is one."""
        is_long = isinstance(said, str) and said.startswith(self.target.long_text)
        return {"max_output_tokens": LENGTHY if is_long else BRIEF, **more}

    async def stream(self, said: Any = SHORT, **more: Any) -> list[ResponseStreamEvent]:
        """Take one streamed turn and return all its events."""
        async with await self.open_stream(said, **more) as events:
            return [event async for event in events]

    async def first_events(self, count: int, **more: Any) -> list[ResponseStreamEvent]:
        """Begin a long streamed turn, read so many events, hang up, and return them."""
        begun: list[ResponseStreamEvent] = []
        async with await offered(self.open_stream(self.target.long_text, **more)) as events:
            async for event in events:
                begun.append(event)
                if len(begun) >= count:
                    break
        require(begun, "no event came")
        return begun

    async def conversation(self, **more: Any) -> Conversation:
        """Return a new conversation; raises Refused where the server has none."""
        return await offered(self.client.conversations.create(**more))

    async def items(self, conversation: str) -> list[ConversationItem]:
        """Return all items of a conversation, the oldest first, page by page."""
        pages = self.client.conversations.items.list(conversation, order="asc", limit=100)
        return [item async for item in pages]

    async def ended(self, response_id: str, within_s: float = 30.0) -> Response:
        """Return a response once its status is final; raises Failed when it never is."""
        deadline = time.monotonic() + within_s
        while True:
            response = await self.client.responses.retrieve(response_id)
            if response.status in FINAL:
                return response
            require(time.monotonic() < deadline, f"still {response.status} after {within_s:.0f} s")
            await asyncio.sleep(0.1)

    async def answers_again(self) -> None:
        """Return once the server answers a turn; raises Failed when it does not."""
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                await self.respond(store=False)
            except (APIConnectionError, APITimeoutError, APIStatusError) as error:
                if isinstance(error, APIStatusError) and error.status_code < 500:
                    return
                if time.monotonic() > deadline:
                    raise Failed(f"not back after {READY_WITHIN_S:.0f} s: {error}") from None
                await asyncio.sleep(0.2)
            else:
                return

    async def kill_and_restart(self) -> None:
        """Run the two hooks and return when the server answers again."""
        await self.hooks.kill_and_restart()
        await self.answers_again()


def text_of(response: Response) -> str:
    """Return what the model said, all parts joined."""
    return response.output_text


def input_tokens(response: Response) -> int:
    """Return how much the model read: all that can be seen of a history, with any model."""
    require(response.usage is not None, "the response has no usage")
    assert response.usage is not None
    return response.usage.input_tokens
