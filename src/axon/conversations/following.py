"""Following a conversation: what was missed, then what happens, without a gap or a repetition."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from axon.conversations.changes import (
    DELETED,
    ITEM_ADDED,
    ITEM_DELETED,
    UPDATES,
    Change,
    changes_of,
)
from axon.conversations.errors import ConversationNotFound, CursorExpired, NotACursor
from axon.conversations.hub import Hub, Live, Recorded, Subscription
from axon.conversations.loading import Loader
from axon.conversations.opening import Opener
from axon.conversations.overlay import true_records
from axon.conversations.placed import Placed, placed_change
from axon.conversations.reading import Reading, item_rows
from axon.conversations.replaying import Replay, ReplayedRecord
from axon.conversations.tail import Tail
from axon.conversations.values import Conversation, Owner, StoredItem
from axon.records import ConversationChanged

_EVENT_ID = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")

_Members = Mapping[str, Mapping[str, object]]

Kind = Literal[
    "item_created", "item_deleted", "updated", "deleted", "turn_started", "turn_ended", "resync"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationEvent:
    """One thing that happened to the conversation."""

    kind: Kind
    event_id: str = ""
    """What a reader names to go on behind this event; empty for what is never repeated."""
    item: StoredItem | None = None
    item_id: str = ""
    turn_id: str = ""
    """The turn that made the item, that started, or that ended."""
    status: str = ""
    """How the turn ended."""
    change: str = ""
    """What was updated: metadata, renamed, archived or unarchived."""
    members: Mapping[str, object] | None = None
    """The updated member of the conversation."""


class Point(NamedTuple):
    """What a reader has seen: all events up to a place, and some of the next."""

    sequence: int
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowingParts:
    """What a follower reads."""

    hub: Hub
    tail: Tail
    loader: Loader
    reading: Reading
    opener: Opener
    replay: Replay


class Following:
    """Begins to follow conversations."""

    def __init__(self, parts: FollowingParts) -> None:
        """`parts.loader` proves how far a conversation has come."""
        self._parts = parts

    async def follow(
        self, owner: Owner, conversation_id: str, last_event_id: str | None
    ) -> "Followed":
        """See Looking.follow."""
        parts = self._parts
        seen = None if last_event_id is None else _point(last_event_id)
        subscription = parts.hub.subscribe(conversation_id)  # first, so that nothing is missed
        try:
            records = await parts.tail.read(parts.tail.places(conversation_id))
            view = await parts.loader.view(owner, conversation_id)
            if view.state.implicit:
                raise ConversationNotFound
            newer = [one for one in true_records(records) if _sequence(one) > view.base_head]
            head = _sequence(newer[-1]) if newer else view.base_head
            if seen is None:
                seen, newer = Point(head, 0), []
            elif seen.sequence > view.state.head_sequence:
                raise CursorExpired
            if seen.sequence < view.base_head:
                await parts.replay.refuse_expired((owner.user, conversation_id), seen.sequence)
            shown = await parts.reading.shown(owner, conversation_id, view.state)
        except BaseException:
            subscription.close()
            raise
        return Followed(parts, subscription, shown, _Missed(seen, view.base_head, newer))


class _Missed(NamedTuple):
    """What there is to tell before anything new."""

    seen: Point
    projected: int
    """Up to this place PostgreSQL tells."""
    newer: Sequence[Placed]
    """Behind it, the tail."""


class Followed:
    """A conversation being followed; close it."""

    def __init__(
        self,
        parts: FollowingParts,
        subscription: Subscription,
        conversation: Conversation,
        missed: _Missed,
    ) -> None:
        """Made by `Following.follow`."""
        self._parts = parts
        self._subscription = subscription
        self._conversation = conversation
        self._missed = missed
        self._seen = missed.seen
        sequence, events = missed.seen
        self.start_id = f"{sequence + 1}.{events}" if events else f"{sequence}"
        """The event id that everything to come stands behind."""

    def close(self) -> None:
        """Stop following, and end `events`; again does nothing."""
        self._subscription.close()

    async def events(self, tick_s: float) -> AsyncGenerator[ConversationEvent | None, None]:
        """Yield what happens until the conversation is deleted or `close`; None every `tick_s`.

        The last event says `resync` when the reader was too slow. Raises as `follow` does.
        """
        subscription = self._subscription
        if subscription.running is not None:
            yield ConversationEvent(kind="turn_started", turn_id=subscription.running)
        async for event in self._replayed():
            yield event
        while not subscription.ended:
            live = await subscription.next(tick_s)
            if live is None:
                if not subscription.ended:
                    yield None
                continue
            for event in await self._told(live):
                yield event
                if event.kind == "deleted":
                    return
        if subscription.cut:
            yield ConversationEvent(kind="resync")

    async def _replayed(self) -> AsyncIterator[ConversationEvent]:
        parts, owner = self._parts, self._conversation.owner
        name, missed = self._conversation.conversation_id, self._missed
        bounds = (self._seen.sequence, missed.projected)
        known = self._conversation
        now_is = _members(known.metadata, known.title, archived=known.archived)
        async for replayed in parts.replay.records((owner.user, name), bounds):
            items = await parts.opener.open_rows(owner, name, replayed.rows)
            for event in self._behind(replayed, items, now_is):
                yield event
        for record in missed.newer:
            for event in await self._of_record(record):
                yield event

    async def _told(self, live: Live) -> list[ConversationEvent]:
        if isinstance(live, Recorded):
            return await self._of_record(live.record)
        if live.status == "in_progress":
            return [ConversationEvent(kind="turn_started", turn_id=live.turn_id)]
        return [ConversationEvent(kind="turn_ended", turn_id=live.turn_id, status=live.status)]

    async def _of_record(self, record: Placed) -> list[ConversationEvent]:
        """Return what the record tells that was not told; its items opened."""
        sequence = _sequence(record)
        if sequence <= self._seen.sequence:
            return []
        owner, name = self._conversation.owner, self._conversation.conversation_id
        items = await self._parts.opener.open_rows(owner, name, item_rows(placed_change(record)))
        members: _Members = {}
        if isinstance(record, ConversationChanged):
            title = await self._parts.reading.open_title(owner, name, record.title or None)
            archived = "archived" in record.changes
            members = _members(record.metadata, title, archived=archived)
        return self._behind(ReplayedRecord(sequence, changes_of(record), []), items, members)

    def _behind(
        self,
        record: ReplayedRecord,
        items: Sequence[StoredItem],
        members: _Members,
    ) -> list[ConversationEvent]:
        """Return the record's events behind those that were seen, and note them as seen."""
        known = {item.item_id: item for item in items}
        flat = [(change, item_id) for change in record.changes for item_id in _told_ids(change)]
        events = []
        for number, (change, item_id) in enumerate(flat, start=1):
            partly = record.sequence == self._seen.sequence + 1 and number <= self._seen.events
            last = number == len(flat)
            event_id = f"{record.sequence}" if last else f"{record.sequence}.{number}"
            if not partly and (change.kind != ITEM_ADDED or item_id in known):
                item = known.get(item_id)
                member = members.get(change.kind)
                events.append(_event(event_id, change, (item_id, item), member))
        self._seen = Point(record.sequence, 0)
        return events


def _event(
    event_id: str,
    change: Change,
    item: tuple[str, StoredItem | None],
    member: Mapping[str, object] | None,
) -> ConversationEvent:
    if change.kind == ITEM_ADDED:
        return ConversationEvent(
            kind="item_created", event_id=event_id, item=item[1], turn_id=change.turn_id
        )
    if change.kind == ITEM_DELETED:
        return ConversationEvent(kind="item_deleted", event_id=event_id, item_id=item[0])
    if change.kind == DELETED:
        return ConversationEvent(kind="deleted", event_id=event_id)
    return ConversationEvent(kind="updated", event_id=event_id, change=change.kind, members=member)


def _told_ids(change: Change) -> Sequence[str]:
    """Return one id for each event of the change; a creation is no news to who follows."""
    if change.kind in (ITEM_ADDED, ITEM_DELETED):
        return change.item_ids
    return ("",) if change.kind == DELETED or change.kind in UPDATES else ()


def _members(metadata: Mapping[str, str], title: str | None, *, archived: bool) -> _Members:
    """Return the member each update speaks of, by the update's name."""
    return {
        "metadata": {"metadata": dict(metadata)},
        "renamed": {"title": title},
        "archived": {"archived": archived},
        "unarchived": {"archived": archived},
    }


def _sequence(record: Placed) -> int:
    return placed_change(record).sequence


def _point(event_id: str) -> Point:
    """Return what a reader has seen who names this event; raises NotACursor."""
    match = _EVENT_ID.fullmatch(event_id)
    if match is None:
        raise NotACursor
    sequence, events = int(match[1]), int(match[2] or 0)
    return Point(sequence - 1, events) if events else Point(sequence, 0)
