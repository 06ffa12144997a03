"""What `/openapi.json` says of conversations, their items and their changes."""

from typing import Any, Literal

import msgspec


class Origin(msgspec.Struct):
    """Where a conversation left another."""

    conversation_id: str
    item_id: str | None


class Conversation(msgspec.Struct):
    """A conversation."""

    id: str
    object: Literal["conversation"]
    created_at: int
    """Seconds since 1970."""
    metadata: dict[str, str]
    title: str | None
    archived: bool
    forked_from: Origin | None


class ConversationPage(msgspec.Struct):
    """A page of conversations."""

    object: Literal["list"]
    data: list[Conversation]
    first_id: str | None
    last_id: str | None
    has_more: bool


class StoredItem(msgspec.Struct):
    """An item as it is stored: a message, a call of a tool, its output, a reasoning, a summary."""

    id: str
    type: str


class ItemPage(msgspec.Struct):
    """A page of items."""

    object: Literal["list"]
    data: list[StoredItem]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ObjectPage(msgspec.Struct):
    """A page of objects."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class SearchResult(msgspec.Struct):
    """Where a conversation says something."""

    object: Literal["conversation.search_result"]
    conversation_id: str
    item_id: str | None
    title: str | None
    snippet: str


class SearchPage(msgspec.Struct):
    """A page of what was found."""

    object: Literal["list"]
    data: list[SearchResult]
    has_more: bool
    complete: bool
    """False when the search ended before it had looked at everything."""
    cursor: str | None


class Change(msgspec.Struct):
    """One change of a person's conversations."""

    object: Literal["sync.change"]
    type: str
    at: int
    conversation_id: str
    response_id: str | None
    item_ids: list[str]
    items: list[dict[str, Any]]
    conversation: Conversation | None


class Changes(msgspec.Struct):
    """The changes since a cursor."""

    object: Literal["sync"]
    data: list[Change]
    cursor: str
    has_more: bool


CONVERSATION_ANSWERS: dict[str, type[msgspec.Struct]] = {
    "conversations.create_conversation": Conversation,
    "conversation_list.list_conversations": ConversationPage,
    "conversation_search.search_conversations": SearchPage,
    "sync.sync": Changes,
    "stored_chat.list_completions": ObjectPage,
    "stored_chat.list_messages": ObjectPage,
    "response_items.list_input_items": ItemPage,
    "conversation_fork.fork_conversation": Conversation,
    "conversation_title.make_title": Conversation,
    "conversations.get_conversation": Conversation,
    "conversations.update_conversation": Conversation,
    "conversations.create_items": ItemPage,
    "conversations.list_items": ItemPage,
    "conversations.get_item": StoredItem,
    "conversations.delete_item": Conversation,
}
"""The JSON object of each operation."""
