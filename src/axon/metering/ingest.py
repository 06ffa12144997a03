"""Taking outside events: all of a request are durable with one entry of the journal, or none."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Raw

from axon.base import Clock, IdMint
from axon.journal import Journal
from axon.metering.cloud_events import EventReader, raw_events
from axon.metering.errors import BatchTooLarge, EventWrong
from axon.metering.meters import Meters
from axon.metering.periods import period_of, zone_named
from axon.metering.rollups import DAY_US
from axon.records import EventsReceived, OutsideEvent, encode
from axon.telemetry import counter

EVENTS_MAX = 10_000
"""Of one request."""

READING_MAX = 4
"""Requests whose events are read at once: read, they weigh several times what their bodies do."""

_AT_ONCE = 128
"""Events read before the loop's other work has its turn: about two milliseconds."""

BATCH_PREFIX = "evb"
"""Of the ids of batches."""

_accepted = counter("axon_events_accepted_total", "Outside events that were made durable.")
_late = counter("axon_events_late_total", "Those of them that belong to a closed month.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingPolicy:
    """What becomes of events that belong to a month whose bill may be written."""

    closed_after_days: int = 3
    """A month is closed so many days after its end, in the organization's time zone."""
    late_events: Literal["accept", "refuse"] = "accept"
    """An accepted one is marked late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Whose events they are, and with which key they came."""

    org_id: str
    user: int
    credential_id: str
    time_zone: str
    refuse: Callable[[str], None] = lambda subject: None
    """Raises what a request is refused with when it has an event of this subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestParts:
    """What taking events needs."""

    journal: Journal
    mint: IdMint
    clock: Clock
    meters: Meters
    """Those that the events must suit."""
    policy: ClosingPolicy = ClosingPolicy()


class Ingest:
    """Takes outside events; one for each serving process."""

    def __init__(self, parts: IngestParts) -> None:
        """The journal is opened and closed by its owner."""
        self._parts = parts
        self._reading = asyncio.Semaphore(READING_MAX)

    async def take_one(self, sender: Sender, body: bytes) -> None:
        """Return when the event is durable; raises as `take_batch`."""
        await self._take(sender, lambda: [body])

    async def take_batch(self, sender: Sender, body: bytes) -> None:
        """Return when all events of a JSON list are durable, by one flush of the journal.

        Raises EventWrong or BatchTooLarge, msgspec.DecodeError for what is no list of JSON, what
        `Sender.refuse` raises, and JournalError (EntryTooLarge among them) when they cannot be kept
        now. None was taken then.
        """
        await self._take(sender, lambda: raw_events(body))

    async def _take(self, sender: Sender, split: Callable[[], Sequence[Raw | bytes]]) -> None:
        parts = self._parts
        parts.journal.admit()
        async with self._reading:
            raws = split()
            if len(raws) > EVENTS_MAX:
                raise BatchTooLarge(f"{len(raws):,} events, and at most {EVENTS_MAX:,}")
            now_us = parts.clock.now_us()
            closed_before_us = self._closed_before_us(now_us, sender.time_zone)
            events = await self._read(
                raws, EventReader(parts.meters, now_us, closed_before_us), sender
            )
            if not events:
                return
            record = EventsReceived(
                batch_id=parts.mint.mint(BATCH_PREFIX, sender.org_id, sender.user),
                org_id=sender.org_id,
                user=sender.user,
                credential_id=sender.credential_id,
                received_us=now_us,
                events=events,
            )
            durable = parts.journal.append(*encode(record))
        await durable
        _accepted.inc(len(events))
        _late.inc(sum(event.late for event in events))

    async def _read(
        self, raws: Sequence[Raw | bytes], reader: EventReader, sender: Sender
    ) -> list[OutsideEvent]:
        refuse_late = self._parts.policy.late_events == "refuse"
        events = []
        for index, raw in enumerate(raws):
            if index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            event = reader.read(raw, index)
            sender.refuse(event.subject)
            if event.late and refuse_late:
                raise EventWrong(index, "time", "its month is closed")
            events.append(event)
        return events

    def _closed_before_us(self, now_us: int, time_zone: str) -> int:
        """Return the beginning of the oldest month that is still open."""
        days = self._parts.policy.closed_after_days
        return period_of(now_us - days * DAY_US, "month", zone_named(time_zone)).start_us
