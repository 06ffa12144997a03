"""The hub: what happens to a conversation, at once, for whoever is looking at it."""

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from axon.base import MIB
from axon.conversations.errors import TooManySubscribers
from axon.conversations.history import sealed_bytes
from axon.conversations.placed import Placed, placed_change
from axon.records import Record, TurnAccepted, TurnCompleted, TurnInterrupted

SUBSCRIBERS_MAX = 10_000
"""Of one process, each with a connection of its own."""

WAITING_MAX = 256
WAITING_BYTES_MAX = 4 * MIB
"""What may wait for a subscriber that reads slowly; then it is cut and begins anew. A single
record may be larger."""


class Recorded(NamedTuple):
    """A record that takes a place in the conversation is durable."""

    record: Placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A turn of the conversation runs, or has just ended."""

    turn_id: str
    status: str
    """in_progress, or how it ended: completed, incomplete, failed or cancelled."""


Live = Recorded | Running


class Subscription:
    """What happens from now on, for one reader; leave it as a context manager or by `close`."""

    def __init__(self, hub: "Hub", conversation_id: str, running: str | None) -> None:
        """Made by `Hub.subscribe`."""
        self.running = running
        """The turn that was running when the subscription began."""
        self.cut = False
        """Whether the reader was too slow and has missed something."""
        self._hub = hub
        self._conversation_id = conversation_id
        self._waiting: deque[tuple[Live, int]] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = asyncio.Event()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription and wake its reader; again does nothing."""
        self._hub.leave(self._conversation_id, self)
        self.end()

    @property
    def ended(self) -> bool:
        """Return whether nothing more will come."""
        return self._closed and not self._waiting

    async def next(self, within_s: float) -> Live | None:
        """Return what happened next; None after `within_s` seconds, or when it has `ended`."""
        if not self._waiting and not self._closed:
            self._changed.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._changed.wait()
            except TimeoutError:
                return None
        if not self._waiting:
            return None
        live, size = self._waiting.popleft()
        self._bytes -= size
        return live

    def put(self, live: Live, size: int) -> None:
        """Add what happened, `size` bytes; called by the hub."""
        full = self._waiting and self._bytes + size > WAITING_BYTES_MAX
        if full or len(self._waiting) >= WAITING_MAX:
            self.cut = True
            self._waiting.clear()
            self.close()
            return
        self._waiting.append((live, size))
        self._bytes += size
        self._changed.set()

    def end(self) -> None:
        """Let the reader have what waits, and no more; called by the hub."""
        self._closed = True
        self._changed.set()


class Hub:
    """Passes the changes of conversations to those who subscribe; for the loop's thread.

    It is fed with every durable record, so nothing is told that could still be lost, and with
    what starts to run. What happened before a subscription is for PostgreSQL and the tail to say.
    """

    def __init__(self) -> None:
        """Begin with no subscriber."""
        self._subscribers: dict[str, set[Subscription]] = {}
        self._count = 0
        self._running: dict[str, str] = {}
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def note(self, record: Record) -> None:
        """Tell of a durable record; a turn's acceptance and its end say that it runs and ran."""
        if isinstance(record, (TurnAccepted, TurnCompleted, TurnInterrupted)):
            head = record.head
            if not head.conversation_id or head.implicit:
                return
            if isinstance(record, TurnAccepted):
                self.started(head.conversation_id, head.turn_id)
                return
            if not head.unplaced:  # one without a place comes again with it
                self._publish(head.conversation_id, record)
            self.ended(head.conversation_id, head.turn_id, record.status)
        elif isinstance(record, Placed):
            self._publish(record.conversation_id, record)

    def started(self, conversation_id: str, turn_id: str) -> None:
        """Tell that a turn runs; telling it again changes nothing."""
        if self._running.get(conversation_id) != turn_id:
            self._running[conversation_id] = turn_id
            if conversation_id in self._subscribers:
                self._tell(conversation_id, Running(turn_id=turn_id, status="in_progress"))

    def ended(self, conversation_id: str, turn_id: str, status: str) -> None:
        """Tell that a turn has ended; nothing when it is not known to run."""
        if self._running.get(conversation_id) == turn_id:
            del self._running[conversation_id]
            if conversation_id in self._subscribers:
                self._tell(conversation_id, Running(turn_id=turn_id, status=status))

    def subscribe(self, conversation_id: str) -> Subscription:
        """Return a subscription that begins now; raises TooManySubscribers."""
        if self._closed or self._count >= SUBSCRIBERS_MAX:
            raise TooManySubscribers
        subscription = Subscription(self, conversation_id, self._running.get(conversation_id))
        self._subscribers.setdefault(conversation_id, set()).add(subscription)
        self._count += 1
        return subscription

    def leave(self, conversation_id: str, subscription: Subscription) -> None:
        """Forget a subscription; again does nothing."""
        subscribers = self._subscribers.get(conversation_id, set())
        if subscription in subscribers:
            subscribers.remove(subscription)
            self._count -= 1
            if not subscribers:
                del self._subscribers[conversation_id]

    def close(self) -> None:
        """End every subscription and take no more: the process is draining."""
        self._closed = True
        for subscribers in list(self._subscribers.values()):
            for subscription in list(subscribers):
                subscription.close()

    def _publish(self, conversation_id: str, record: Placed) -> None:
        if conversation_id in self._subscribers:
            size = sealed_bytes(placed_change(record).items)
            self._tell(conversation_id, Recorded(record), size)

    def _tell(self, conversation_id: str, live: Live, size: int = 0) -> None:
        for subscription in list(self._subscribers[conversation_id]):
            subscription.put(live, size)
