"""Sends what turns consumed to another system, in order, each at least once.

Reads `metering.turns` in the order of the journals, with cursors of its own in PostgreSQL that move
only once the receiver has what is behind them. Whatever the receiver loses later can be sent again:
`rewind` moves the cursors back, `replay` sends a range beside them.
"""

from collections.abc import Sequence
from typing import Protocol

import asyncpg

from axon.base import MICROS_PER_SECOND, Clock
from axon.metering.usage_events import UsageEvent, correction_event, turn_event
from axon.metering.usage_stream_store import (
    LATE,
    SourceState,
    forget_late,
    move_cursor,
    page_of,
    range_of,
    read_cursor,
    read_states,
    rewind_to,
)
from axon.stores import Postgres
from axon.telemetry import counter, gauge

PAGE_EVENTS = 500
"""Sent and acknowledged together; a page that fails is sent again as a whole."""

TIMEOUT_S = 30.0
"""Of one question to PostgreSQL; a page is read by an index in milliseconds."""

LONG_TIMEOUT_S = 600.0
"""Of an operator's question that reads a whole table."""

_sent = counter("axon_usage_stream_events_total", "Events that the usage stream's broker has.")
_waiting = gauge("axon_usage_stream_waiting_events", "Events that it does not have yet.")
_behind = gauge(
    "axon_usage_stream_behind_seconds", "How long ago the oldest turn was accepted of these."
)


class EventSink(Protocol):
    """Where the events go."""

    async def send(self, events: Sequence[UsageEvent]) -> None:
        """Return once the receiver has all of them for good; raises why it may lack some."""
        ...


class UsageStream:
    """One reader at a time: the scheduler's, by its lock. A second one only sends things twice."""

    def __init__(self, postgres: Postgres, source: str, clock: Clock) -> None:
        """`source` is what the events say they come from, as axon/<installation>."""
        self._postgres = postgres
        self._source = source
        self._clock = clock

    async def send_news(self, sink: EventSink) -> None:
        """Send all that is not sent; raises PostgresAway and what the sink raises."""
        try:
            sources = [state.source for state in await self.states() if state.waiting]
            while sources:
                sources = [source for source in sources if await self._send_page(source, sink)]
        finally:
            self._measure(await self.states())

    async def states(self) -> list[SourceState]:
        """Return how far it is, by source; raises PostgresAway."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            return await read_states(connection)

    async def rewind(self, from_us: int) -> int:
        """Have everything sent again that was accepted since; return how many cursors moved back.

        A running scheduler goes on from there. Raises PostgresAway.
        """
        async with (
            self._postgres.connection(LONG_TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            return await rewind_to(connection, from_us)

    async def replay(self, sink: EventSink, from_us: int, to_us: int, org_id: str = "") -> int:
        """Send all turns accepted in a range, and their corrections; return how many events.

        The cursors stay. An empty `org_id` is everybody. Raises PostgresAway and what the sink
        raises; done again, it sends the same events with the same ids.
        """
        count = 0
        async with (
            self._postgres.connection(LONG_TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            async for rows in range_of(connection, (from_us, to_us, org_id), PAGE_EVENTS):
                await sink.send(self._events(rows))
                count += len(rows)
        return count

    async def _send_page(self, source: str, sink: EventSink) -> bool:
        """Send the next page of a source; return whether there may be more."""
        async with self._postgres.connection(TIMEOUT_S) as connection:
            through = await read_cursor(connection, source)
            rows = await page_of(connection, source, through, PAGE_EVENTS)
        if not rows:
            return False
        await sink.send(self._events(rows))
        _sent.inc(len(rows))
        places = [row["place"] for row in rows]
        async with self._postgres.connection(TIMEOUT_S) as connection:
            if source == LATE:
                await forget_late(connection, places)
            else:
                await move_cursor(connection, source, through, places[-1])
        return len(rows) == PAGE_EVENTS

    def _events(self, rows: Sequence[asyncpg.Record]) -> list[UsageEvent]:
        return [
            correction_event(row, self._source)
            if "corrected_us" in row
            else turn_event(row, self._source)
            for row in rows
        ]

    def _measure(self, states: Sequence[SourceState]) -> None:
        _waiting.set(sum(state.waiting for state in states))
        oldest = [state.oldest_us for state in states if state.oldest_us]
        behind_us = self._clock.now_us() - min(oldest) if oldest else 0
        _behind.set(max(0.0, behind_us / MICROS_PER_SECOND))
