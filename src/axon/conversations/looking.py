"""What a person sees of a conversation: as acknowledged, with every turn in its place."""

from typing import Literal

from axon.conversations.following import Followed, Following
from axon.conversations.placing import Placing
from axon.conversations.reading import Reading, refuse_nonsense
from axon.conversations.values import Conversation, ItemPage, Owner, Page, StoredItem


class Looking:
    """Looks at single conversations; waits for turns that have no place in them yet."""

    def __init__(self, placing: Placing, reading: Reading, following: Following) -> None:
        """`placing` says when a person may look."""
        self._placing = placing
        self._reading = reading
        self._following = following

    async def read(self, owner: Owner, conversation_id: str) -> Conversation:
        """Return the conversation as acknowledged, also while PostgreSQL is behind."""
        await self._placing.look_at(owner, conversation_id)
        return await self._reading.read(owner, conversation_id)

    async def follow(
        self, owner: Owner, conversation_id: str, last_event_id: str | None
    ) -> Followed:
        """Return the conversation followed from behind that event on, or from now on.

        Each change is told once, after it is durable. Raises NotACursor for what is no event id,
        CursorExpired for one too long ago, TooManySubscribers.
        """
        await self._placing.look_at(owner, conversation_id)
        return await self._following.follow(owner, conversation_id, last_event_id)

    async def list_items(
        self,
        owner: Owner,
        conversation_id: str,
        *,
        after: str | None,
        limit: int,
        order: Literal["asc", "desc"],
    ) -> ItemPage:
        """Return at most `limit` items behind the item `after`, or from the first in `order`.

        Raises ItemNotFound when `after` is no item of this conversation.
        """
        await self._placing.look_at(owner, conversation_id)
        if after is not None:
            refuse_nonsense(after)
        page = Page(after=after, limit=limit, order=order)
        return await self._reading.list_items(owner, conversation_id, page)

    async def read_item(self, owner: Owner, conversation_id: str, item_id: str) -> StoredItem:
        """Return the item; raises ItemNotFound, also when its key was erased."""
        await self._placing.look_at(owner, conversation_id)
        refuse_nonsense(item_id)
        return await self._reading.read_item(owner, conversation_id, item_id)
