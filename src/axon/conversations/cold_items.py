"""Items of cold conversations, asked for by their ids alone: found by when they were made."""

from collections.abc import Sequence

from axon.base import MICROS_PER_SECOND, IdMint, UnknownId
from axon.conversations.cold import Thaw
from axon.conversations.errors import HistoryUnavailable
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.values import Owner
from axon.stores import Postgres, PostgresAway

THAWED_MAX = 16
"""Conversations brought back for one request: a person seldom had so many at one time."""

SLACK_US = 3600 * MICROS_PER_SECOND
"""An item's id is made while its turn runs, and its conversation says when that ended."""

_MILLIS_US = 1000

_CANDIDATES = """
SELECT f.conversation_id FROM conversations.cold AS f
JOIN conversations.conversations AS c ON c.user_id = f.user_id AND c.id = f.conversation_id
WHERE f.user_id = $1 AND c.deleted_us IS NULL AND EXISTS (
    SELECT FROM unnest($2::bigint[]) AS item (made_us)
    WHERE item.made_us BETWEEN c.created_us - $3 AND f.newest_us + $3
) ORDER BY f.newest_us DESC LIMIT $4
"""


class ColdItems:
    """Brings back the conversations that may hold certain items."""

    def __init__(self, postgres: Postgres, mint: IdMint, thaw: Thaw) -> None:
        """`mint` tells when an item was made."""
        self._postgres = postgres
        self._mint = mint
        self._thaw = thaw

    async def bring_back(self, owner: Owner, item_ids: Sequence[str]) -> bool:
        """Return whether conversations came back that may hold them.

        Raises HistoryUnavailable, ColdAway above all, and ColdBroken.
        """
        made_us = [made for item_id in item_ids if (made := self._made_us(owner, item_id))]
        if not made_us:
            return False
        try:
            async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                rows = await connection.fetch(
                    _CANDIDATES, owner.user, made_us, SLACK_US, THAWED_MAX
                )
        except PostgresAway as away:
            raise HistoryUnavailable("PostgreSQL is away") from away
        for (conversation_id,) in rows:
            await self._thaw(owner.user, conversation_id)
        return bool(rows)

    def _made_us(self, owner: Owner, item_id: str) -> int:
        try:
            minted = self._mint.read(item_id, item_id.rpartition("_")[0], owner.org_id)
        except UnknownId:
            return 0
        return minted.created_ms * _MILLIS_US
