"""The tail: what this process wrote to its journal and PostgreSQL does not have yet."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from axon.conversations.chat_store import is_chat_change
from axon.conversations.chat_tail import ChatTail
from axon.conversations.errors import TailFull
from axon.conversations.placed import TURN_FORGOTTEN
from axon.conversations.unplaced import Unplaced
from axon.journal import Journal, Location
from axon.records import (
    ConversationChanged,
    ItemsAppended,
    Record,
    TurnAccepted,
    TurnCompleted,
    TurnInterrupted,
    decode,
)

TAIL_ENTRIES_MAX = 1_000_000
"""About 400 MB of memory, and some minutes of full speed with PostgreSQL away: new conversation
turns are refused from here on, because a forgotten record would make a history wrong."""

TurnRecord = TurnAccepted | TurnCompleted | TurnInterrupted

_TURNS = (TurnAccepted, TurnCompleted, TurnInterrupted)
_CHANGES = (ItemsAppended, ConversationChanged)


class TailEntry(msgspec.Struct, frozen=True, gc=False):
    """Where a record is, and which turn or conversation it belongs to."""

    location: Location
    user: int
    conversation_id: str
    """Empty for a turn outside any conversation."""
    sequence: int
    turn_id: str
    """The turn the record is about; empty when it is about none."""
    placed: bool
    """Whether the record takes its place; one that only accepts a turn does not yet."""
    listed: bool
    """Whether the conversation may be one that its person sees in a list."""
    stored: bool
    """Whether the turn may be fetched and continued from here on."""
    unplaced: bool
    """Whether the turn's place is still to be found."""


class Tail:
    """An index into the journal, by conversation and by turn; for the loop's thread only.

    It is complete: every record of this journal that PostgreSQL may not have yet is in it, so
    what PostgreSQL has plus the tail (looked at before PostgreSQL is) is all there is.
    """

    def __init__(self, journal: Journal, entries_max: int = TAIL_ENTRIES_MAX) -> None:
        """Index `journal`; `admit` refuses once there are `entries_max` entries."""
        self._journal = journal
        self._entries_max = entries_max
        self._order: deque[TailEntry] = deque()
        self._conversations: dict[str, list[TailEntry]] = {}
        self._turns: dict[str, TailEntry] = {}
        self._people: dict[int, dict[str, int]] = {}
        self._pruned_through = 0
        self.chat = ChatTail()
        """The same for stored chat completions, which have no conversation."""
        self.unplaced = Unplaced()
        """The same for turns without a place; they stay until they have one."""
        self.on_note: Callable[[Record], None] = _nobody_listens
        """Told of every durable record before `note` returns; must not raise."""

    def admit(self) -> None:
        """Return when another turn may be remembered; raises TailFull."""
        if len(self._order) + self.unplaced.count >= self._entries_max:
            raise TailFull

    def note(self, record: Record, location: Location) -> None:
        """Remember a durable record; call it before anything that follows from the record.

        Never refuses: what is durable must be remembered.
        """
        self.on_note(record)
        turn = _entry_of(record, location) if isinstance(record, _TURNS) else None
        if turn is not None:
            before = self._turns.get(turn.turn_id)
            if turn.unplaced or (before is not None and before.unplaced):
                self._note_unplaced(turn, before, isinstance(record, TurnAccepted))
            if turn.unplaced:
                return
        if location.sequence <= self._pruned_through:
            return
        if is_chat_change(record):
            self.chat.note(record, location)
        if turn is not None:
            entry = turn
            self._turns[turn.turn_id] = turn
        elif isinstance(record, _CHANGES):
            forgotten = _forgotten(record)
            placed = record.conversation_id != ""
            entry = TailEntry(
                location,
                record.user,
                record.conversation_id,
                record.sequence,
                forgotten,
                placed,
                listed=True,
                stored=False,
                unplaced=False,
            )
            if forgotten:
                self._turns[forgotten] = entry
        else:
            return
        self._order.append(entry)
        if entry.placed:
            self._conversations.setdefault(entry.conversation_id, []).append(entry)
            if entry.listed:
                self._people.setdefault(entry.user, {})[entry.conversation_id] = location.sequence

    def _note_unplaced(self, turn: TailEntry, before: TailEntry | None, accepted: bool) -> None:
        """Remember a turn without a place apart, until it has one."""
        if turn.unplaced:
            self._turns[turn.turn_id] = turn
            if not accepted:
                self.unplaced.note(turn.conversation_id, turn.turn_id, turn.location)
        elif before is not None:
            del self._turns[turn.turn_id]
            self.unplaced.forget(before.conversation_id, turn.turn_id)

    def prune(self, projected_through: int) -> None:
        """Forget what PostgreSQL has: everything up to this journal sequence."""
        self._pruned_through = max(self._pruned_through, projected_through)
        self.chat.prune(projected_through)
        order = self._order
        while order and order[0].location.sequence <= projected_through:
            entry = order.popleft()
            if entry.turn_id and self._turns.get(entry.turn_id) is entry:
                del self._turns[entry.turn_id]
            if entry.placed:
                self._forget_place(entry)

    def _forget_place(self, entry: TailEntry) -> None:
        places = self._conversations[entry.conversation_id]
        places.remove(entry)
        if places:
            return
        del self._conversations[entry.conversation_id]
        theirs = self._people.get(entry.user, {})
        if theirs.pop(entry.conversation_id, None) is not None and not theirs:
            del self._people[entry.user]

    def head(self, conversation_id: str) -> int:
        """Return the highest place of the conversation in the tail, 0 for none.

        A recovered turn is noted late, at the place it had.
        """
        places = self._conversations.get(conversation_id, ())
        return max([entry.sequence for entry in places], default=0)

    def places(self, conversation_id: str) -> tuple[TailEntry, ...]:
        """Return the entries that take a place in the conversation, in the journal's order."""
        return tuple(self._conversations.get(conversation_id, ()))

    def conversations(self, user: int) -> tuple[str, ...]:
        """Return the person's conversations with a place in the tail, but chains of responses."""
        return tuple(self._people.get(user, ()))

    def newest(self, user: int) -> int:
        """Return the journal sequence of the person's last change of these; 0 for none."""
        return max(self._people.get(user, {}).values(), default=0)

    def turn(self, turn_id: str) -> TailEntry | None:
        """Return the latest entry of the turn."""
        return self._turns.get(turn_id)

    async def read(self, entries: Sequence[TailEntry]) -> list[Record]:
        """Return the records behind the entries, read from the journal in a thread."""
        return await self.read_at([entry.location for entry in entries])

    async def read_at(self, locations: Sequence[Location]) -> list[Record]:
        """Return the records that stand there, read from the journal in a thread."""
        if not locations:
            return []
        return await asyncio.to_thread(self._read, locations)

    def _read(self, locations: Sequence[Location]) -> list[Record]:
        found = [self._journal.entry_at(location) for location in locations]
        return [decode(entry.kind, entry.payload) for entry in found]


def _entry_of(record: TurnRecord, location: Location) -> TailEntry:
    head = record.head
    return TailEntry(
        location,
        head.user,
        head.conversation_id,
        head.sequence,
        head.turn_id,
        head.conversation_id != "" and not isinstance(record, TurnAccepted),
        not head.implicit,
        head.stored,
        head.unplaced,
    )


def _nobody_listens(_: Record) -> None:
    """Stand in for the hub where nobody looks at conversations."""


def _forgotten(record: ItemsAppended | ConversationChanged) -> str:
    """Return the turn that the record forgets, or nothing."""
    if isinstance(record, ConversationChanged) and record.change == TURN_FORGOTTEN:
        return record.item_id
    return ""
