"""What Axon holds, read back through the API with the official SDK."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from openai import APIConnectionError, AsyncOpenAI, InternalServerError, NotFoundError
from openai.types.conversations import Message

from tests.chaos.ledger import Attempt
from tests.chaos.verdict import StoredItem

_Value = TypeVar("_Value")

READERS = 8
PAGE_ITEMS = 100
READABLE_WITHIN_S = 60.0
"""A reader may be told 503 while PostgreSQL still recovers: that is an answer, and not a loss."""
REFUSED_PAUSE_S = 0.5
ENDS_WITHIN_S = 20.0
"""Recovery ends what a dead process left unfinished; this is far beyond what it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Every conversation of the ledger, oldest item first, and how every response ended."""

    items: dict[str, list[StoredItem]]
    endings: dict[str, str]


def read_stored(base_url: str, api_key: str, attempts: list[Attempt]) -> Stored:
    """Return what the API knows of the attempts; raises openai.APIError when it cannot say."""
    return asyncio.run(_read(base_url, api_key, attempts))


async def _read(base_url: str, api_key: str, attempts: list[Attempt]) -> Stored:
    limit = asyncio.Semaphore(READERS)
    async with AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=30) as client:

        async def items_of(conversation: str) -> tuple[str, list[StoredItem]]:
            async with limit:
                return conversation, await _patiently(lambda: _items(client, conversation))

        async def ending_of(response_id: str) -> tuple[str, str]:
            async with limit:
                return response_id, await _patiently(lambda: _ending(client, response_id))

        conversations = {attempt.conversation for attempt in attempts}
        responses = {attempt.response_id for attempt in attempts if attempt.response_id}
        items = await _all(items_of(conversation) for conversation in conversations)
        endings = await _all(ending_of(response_id) for response_id in responses)
    return Stored(items=items, endings=endings)


async def _all(work: Iterable[Coroutine[Any, Any, tuple[str, _Value]]]) -> dict[str, _Value]:
    return dict(await asyncio.gather(*work))


async def _patiently(read: Callable[[], Coroutine[Any, Any, _Value]]) -> _Value:
    """Return what `read` returns, trying again while Axon says that it cannot know now."""
    deadline = time.monotonic() + READABLE_WITHIN_S
    while True:
        try:
            return await read()
        except (InternalServerError, APIConnectionError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(REFUSED_PAUSE_S)


async def _items(client: AsyncOpenAI, conversation: str) -> list[StoredItem]:
    found = []
    pages = client.conversations.items.list(conversation, order="asc", limit=PAGE_ITEMS)
    try:
        async for item in pages:
            assert isinstance(item, Message), item
            text = "".join(str(getattr(part, "text", "")) for part in item.content)
            found.append(StoredItem(item_id=item.id, author=item.role, text=text))
    except NotFoundError:
        return []  # a whole conversation is lost, and that is for the judge to say
    return found


async def _ending(client: AsyncOpenAI, response_id: str) -> str:
    deadline = time.monotonic() + ENDS_WITHIN_S
    while True:
        try:
            status = (await client.responses.retrieve(response_id)).status or ""
        except NotFoundError:
            return "not found"
        if status not in {"queued", "in_progress"} or time.monotonic() > deadline:
            return status
        await asyncio.sleep(0.2)
