"""What a record must have left in PostgreSQL, as the records' own documentation says it.

Written apart from the rooms' projectors on purpose: a check that shares their code shares their
mistakes.
"""

from collections.abc import Iterator
from typing import NamedTuple

from axon.records import (
    Charge,
    ConversationChanged,
    EventsReceived,
    ItemsAppended,
    Record,
    SealedItem,
    TokenUsage,
    TurnAccepted,
    TurnCompleted,
    TurnInterrupted,
)

Place = tuple[int, str, int]
"""User, conversation, sequence."""


class ExpectedTurn(NamedTuple):
    """A turn's row."""

    user: int
    turn_id: str
    conversation_id: str
    status: str
    """Empty for a turn that was accepted and may have ended in any way since; an end without a
    place is not yet one."""
    usage: TokenUsage


class ExpectedMetering(NamedTuple):
    """What a turn consumed and cost, by the first record that ends it, without a place too."""

    user: int
    turn_id: str
    usage: TokenUsage
    charge: Charge

    @property
    def figures(self) -> tuple[int, int, int, int, int, str, int, int]:
        """Return what its row must say, in the order of the query that reads it."""
        usage, charge = self.usage, self.charge
        return (
            usage.input_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            charge.currency,
            charge.cost_nano,
            charge.overage_nano,
        )


class ExpectedCount(NamedTuple):
    """What a turn used of one limit of a day or a month."""

    turn_id: str
    org_id: str
    bucket: str
    period: str
    start_us: int
    used: int


class ExpectedPlace(NamedTuple):
    """A place's row and the items at it."""

    place: Place
    fence: int
    origin_id: str
    item_ids: tuple[str, ...]


class ExpectedKey(NamedTuple):
    """An idempotency key's row."""

    user: int
    key_mac: bytes
    object_id: str
    at_us: int


def expected_turn(record: Record) -> ExpectedTurn | None:
    """Return the turn the record is about, if it has a row for it."""
    if not isinstance(record, TurnAccepted | TurnCompleted | TurnInterrupted):
        return None
    head = record.head
    status, usage = "", TokenUsage()
    if not isinstance(record, TurnAccepted) and not head.unplaced:
        status, usage = record.status, record.usage
    return ExpectedTurn(head.user, head.turn_id, head.conversation_id, status, usage)


def expected_metering(record: Record) -> ExpectedMetering | None:
    """Return what the record says a turn consumed and cost, if it ends one."""
    if not isinstance(record, TurnCompleted | TurnInterrupted):
        return None
    return ExpectedMetering(record.head.user, record.head.turn_id, record.usage, record.charge)


def expected_events(record: Record) -> list[tuple[str, str, str]]:
    """Return the identities of the outside events the record holds: organization, source, id."""
    if not isinstance(record, EventsReceived):
        return []
    return [(record.org_id, event.source, event.id) for event in record.events]


def expected_counts(record: Record) -> list[ExpectedCount]:
    """Return what the record says that a turn used of lasting limits, if it ends one."""
    if not isinstance(record, TurnCompleted | TurnInterrupted):
        return []
    head, usage, charge = record.head, record.usage, record.charge
    used = {"requests": 1, "tokens": usage.input_tokens + usage.output_tokens}
    counts = []
    for hold in head.holds:
        if hold.period in ("day", "month"):
            paid = charge.cost_nano if hold.currency == charge.currency else 0
            amount = paid if hold.measure == "money" else used[hold.measure]
            named = (head.turn_id, head.org_id, hold.bucket, hold.period, hold.start_us)
            counts.append(ExpectedCount(*named, amount))
    return counts


def expected_place(record: Record) -> ExpectedPlace | None:
    """Return the place the record takes in a conversation, if it takes one."""
    items: list[SealedItem]
    if isinstance(record, TurnCompleted | TurnInterrupted):
        head = record.head
        if head.unplaced:
            return None
        place = (head.user, head.conversation_id, head.sequence)
        fence, origin_id, items = head.fence, head.turn_id, [*record.input, *record.output]
    elif isinstance(record, ItemsAppended | ConversationChanged):
        place = (record.user, record.conversation_id, record.sequence)
        fence, origin_id, items = record.fence, record.change_id, record.items
    else:
        return None
    if not place[1]:
        return None
    return ExpectedPlace(place, fence, origin_id, tuple(item.item_id for item in items))


def expected_key(record: Record) -> ExpectedKey | None:
    """Return the idempotency key the record holds, if any."""
    if isinstance(record, TurnAccepted) and record.idempotency_mac:
        head = record.head
        return ExpectedKey(head.user, record.idempotency_mac, head.turn_id, head.accepted_us)
    if isinstance(record, ConversationChanged | ItemsAppended) and record.idempotency_mac:
        made = record.conversation_id
        if isinstance(record, ItemsAppended):
            made = ",".join(item.item_id for item in record.items)
        return ExpectedKey(record.user, record.idempotency_mac, made, record.at_us)
    return None


def deleted_items(record: Record) -> Iterator[tuple[int, str]]:
    """Yield (user, item id) of the items the record takes away."""
    if isinstance(record, ConversationChanged) and "item_deleted" in record.changes:
        yield record.user, record.item_id
