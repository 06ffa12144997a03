"""Reading a conversation back through the SDK, as plain values."""

import asyncio
import json
import urllib.request
from typing import Any, NamedTuple

from openai import AsyncOpenAI, OpenAI


class Said(NamedTuple):
    """One message of a conversation."""

    author: str
    status: str
    text: str


def said(item: Any) -> Said:
    """Return a message item as plain values; `Any`, for the SDK's union has thirty kinds."""
    return Said(item.role, item.status, item.content[0].text)


def read_conversation(client: OpenAI, conversation_id: str) -> list[Said]:
    """Return every message, oldest first."""
    items = client.conversations.items.list(conversation_id, order="asc", limit=100)
    return [said(item) for item in items]


async def read_conversation_async(client: AsyncOpenAI, conversation_id: str) -> list[Said]:
    """Return every message, oldest first."""
    items = client.conversations.items.list(conversation_id, order="asc", limit=100)
    return [said(item) async for item in items]


def shown_to_the_model(upstream: str, word: str) -> list[list[tuple[str, str]]]:
    """Return the messages of every request whose last one holds `word`, as the upstream saw."""
    with urllib.request.urlopen(f"{upstream}/ledger", timeout=30) as answer:
        bodies = [request["body"] or {} for request in json.load(answer)]
    seen = [body["messages"] for body in bodies if "messages" in body]
    return [
        [(message["role"], message["content"]) for message in messages]
        for messages in seen
        if word in str(messages[-1]["content"])
    ]


async def until_shown(upstream: str, word: str) -> None:
    """Wait until the upstream has a request whose last message holds `word`: the engine is
    thinking then; the run's own time limit ends a wait for nothing."""
    while not await asyncio.to_thread(shown_to_the_model, upstream, word):
        await asyncio.sleep(0.02)


def release(upstream: str, name: str) -> None:
    """Let the answers marked `[[held:NAME]]` go, those to come included."""
    body = json.dumps({"name": name}).encode()
    with urllib.request.urlopen(f"{upstream}/release", body, timeout=30) as answer:
        assert answer.status == 200
