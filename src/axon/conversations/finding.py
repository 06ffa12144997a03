"""Finding turns by their ids: where they stand, and what they said."""

from collections import OrderedDict

from axon.base import IdMint, UnknownId
from axon.conversations.cold import Thaw, without_archive
from axon.conversations.errors import HistoryAway, TurnNotFound
from axon.conversations.loading import LOAD_TIMEOUT_S
from axon.conversations.opening import Opener
from axon.conversations.placed import placed_change
from axon.conversations.store import ItemRow, TurnRow, read_turn, read_turn_items
from axon.conversations.tail import Tail
from axon.conversations.values import Owner, StoredTurn, TurnPlace
from axon.records import (
    ConversationChanged,
    Record,
    TokenUsage,
    TurnAccepted,
    TurnCompleted,
    TurnInterrupted,
)
from axon.stores import Postgres, PostgresAway

ANSWER_ITEM = "answer"
"""The name under which a turn's answer is bound to its place."""

PLACES_MAX = 100_000
"""Turns whose place is remembered, at some 400 bytes each: a chain of responses that goes on
within the hour then costs no SQL."""


class Finding:
    """Finds turns in this process's memory, the tail, then PostgreSQL."""

    def __init__(
        self, postgres: Postgres, tail: Tail, opener: Opener, mint: IdMint, places_max: int
    ) -> None:
        """`mint` tells whose an id is; the places of `places_max` ended turns are remembered."""
        self._postgres = postgres
        self._tail = tail
        self._opener = opener
        self._mint = mint
        self._places: OrderedDict[str, TurnPlace] = OrderedDict()
        self._places_max = places_max
        self.thaw: Thaw = without_archive

    def remember(self, turn_id: str) -> None:
        """Keep the place of a turn that has ended, is in the tail and can be continued.

        The place never changes: the turn's lease was still owned when its record was durable.
        """
        entry = self._tail.turn(turn_id)
        if entry is None or not entry.stored or not entry.conversation_id:
            return
        self._places[turn_id] = TurnPlace(
            conversation_id=entry.conversation_id, sequence=entry.sequence
        )
        if len(self._places) > self._places_max:
            self._places.popitem(last=False)

    def forget(self, turn_id: str) -> None:
        """Drop what is remembered of the turn."""
        self._places.pop(turn_id, None)

    async def locate(self, owner: Owner, turn_id: str) -> TurnPlace:
        """See Conversations.locate_turn."""
        place = await self.place(owner, turn_id)
        if not place.conversation_id:
            raise TurnNotFound
        return place

    async def place(self, owner: Owner, turn_id: str) -> TurnPlace:
        """Return where the person's stored turn stands, in a conversation or not.

        Raises TurnNotFound.
        """
        if self._owner(owner.org_id, turn_id) != owner:
            raise TurnNotFound
        place = self._places.get(turn_id)
        if place is not None:
            self._places.move_to_end(turn_id)
            return place
        entry = self._tail.turn(turn_id)
        if entry is not None:
            if not entry.stored:
                raise TurnNotFound
            return TurnPlace(conversation_id=entry.conversation_id, sequence=entry.sequence)
        row, _, _ = await self._row(owner, turn_id)
        if not row.stored:
            raise TurnNotFound
        return TurnPlace(conversation_id=row.conversation_id, sequence=row.sequence)

    def unplaced_in(self, owner: Owner, turn_id: str) -> str:
        """Return the conversation of a turn that has no place in it yet; "" for any other.

        Raises TurnNotFound when it is not the person's.
        """
        if self._owner(owner.org_id, turn_id) != owner:
            raise TurnNotFound
        entry = self._tail.turn(turn_id)
        return entry.conversation_id if entry is not None and entry.unplaced else ""

    async def find(self, org_id: str, turn_id: str) -> StoredTurn:
        """See Conversations.find_turn."""
        owner = self._owner(org_id, turn_id)
        entry = self._tail.turn(turn_id)
        if entry is not None:
            [record] = await self._tail.read([entry])
            if isinstance(record, ConversationChanged):
                raise TurnNotFound  # it was forgotten
            row, inputs, outputs = _rows_of(record)
        else:
            row, inputs, outputs = await self._row(owner, turn_id)
            while row.cold:
                await self.thaw(owner.user, row.conversation_id)
                row, inputs, outputs = await self._row(owner, turn_id)
        deleted = await self._deleted_in_tail(row.conversation_id)
        if deleted is None:
            raise TurnNotFound
        inputs = [item for item in inputs if item.item_id not in deleted]
        outputs = [item for item in outputs if item.item_id not in deleted]
        return await self._opened(owner, row, inputs, outputs)

    def _owner(self, org_id: str, turn_id: str) -> Owner:
        prefix = turn_id.rpartition("_")[0]
        try:
            minted = self._mint.read(turn_id, prefix, org_id)
        except UnknownId:
            raise TurnNotFound from None
        return Owner(org_id=org_id, user=minted.user)

    async def _row(
        self, owner: Owner, turn_id: str
    ) -> tuple[TurnRow, list[ItemRow], list[ItemRow]]:
        """Return the turn as PostgreSQL has it, with its items."""
        try:
            async with self._postgres.connection(LOAD_TIMEOUT_S) as connection:
                row = await read_turn(connection, owner.user, turn_id)
                if row is None:
                    raise TurnNotFound
                if not row.conversation_id:
                    return row, [], []
                return row, *await read_turn_items(connection, owner.user, row)
        except PostgresAway as away:
            raise HistoryAway from away

    async def _deleted_in_tail(self, conversation_id: str) -> set[str] | None:
        """Return the items of the conversation the tail deletes; None when it deletes them all."""
        deleted = set()
        for record in await self._tail.read(self._tail.places(conversation_id)):
            if isinstance(record, ConversationChanged):
                if record.change == "deleted_with_items":
                    return None
                deleted.add(record.item_id)
        return deleted

    async def _opened(
        self, owner: Owner, row: TurnRow, inputs: list[ItemRow], outputs: list[ItemRow]
    ) -> StoredTurn:
        answer = None
        if row.answer:
            place = (row.conversation_id, row.turn_id, ANSWER_ITEM)
            answer = await self._opener.open(owner, place, row.answer)
        return StoredTurn(
            owner=owner,
            turn_id=row.turn_id,
            conversation_id=row.conversation_id,
            sequence=row.sequence,
            surface=row.surface,
            model=row.model,
            status=row.status,
            reason=row.reason,
            stored=row.stored,
            answer=answer or b"",
            input=await self._opener.open_rows(owner, row.conversation_id, inputs),
            output=await self._opener.open_rows(owner, row.conversation_id, outputs),
            usage=row.usage,
            accepted_us=row.accepted_us,
            completed_us=row.completed_us,
            without_history=row.without_history,
        )


def _rows_of(record: Record) -> tuple[TurnRow, list[ItemRow], list[ItemRow]]:
    """Return what the projector will write for a turn's record."""
    assert isinstance(record, TurnAccepted | TurnCompleted | TurnInterrupted)
    row = _turn_row(record)
    items: tuple[list[ItemRow], list[ItemRow]] = ([], [])
    if isinstance(record, TurnCompleted | TurnInterrupted) and row.conversation_id:
        for index, item, output, status in placed_change(record).rows():
            items[output].append(
                ItemRow(
                    row.sequence,
                    index,
                    row.turn_id,
                    item.item_id,
                    item.kind,
                    item.author,
                    status,
                    item.blob,
                )
            )
    return row, *items


def _turn_row(record: TurnAccepted | TurnCompleted | TurnInterrupted) -> TurnRow:
    head = record.head
    row = TurnRow(
        turn_id=head.turn_id,
        conversation_id=head.conversation_id,
        sequence=head.sequence,
        surface=head.surface,
        model=head.model,
        status="in_progress",
        reason="",
        stored=head.stored,
        answer=None,
        usage=TokenUsage(),
        accepted_us=head.accepted_us,
        completed_us=0,
        without_history=head.without_history,
    )
    if isinstance(record, TurnAccepted):
        return row
    return row._replace(
        status=record.status,
        reason=record.reason if isinstance(record, TurnInterrupted) else "",
        answer=record.answer,
        usage=record.usage,
        completed_us=record.completed_us,
    )
