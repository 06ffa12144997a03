"""Reading a conversation back through the SDK, as plain values."""

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
