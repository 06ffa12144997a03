"""How this room counts ended turns in PostgreSQL: each once."""

import asyncpg

from axon.limits.book import spent_by
from axon.limits.store import Used, count, forget
from axon.projection import Positioned
from axon.records import TurnCompleted, TurnInterrupted


class LimitsProjector:
    """Adds what ended turns used to the counts of their journal; the first end counts.

    It forgets what is long past as it goes, a bounded part with each batch.
    """

    name = "limits"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records within the open transaction; needs no order, so never a Gap."""
        ended: list[Used] = []
        accepted_us = []
        for positioned in records:
            record = positioned.record
            if not isinstance(record, TurnCompleted | TurnInterrupted) or not record.head.holds:
                continue
            head, spent = record.head, spent_by(record)
            lasting = [hold for hold in head.holds if hold.period in ("day", "month")]
            if lasting:
                amounts = [(hold, spent.of(hold)) for hold in lasting]
                ended.append(Used(positioned.instance, head.turn_id, head.org_id, amounts))
                accepted_us.append(head.accepted_us)
        if ended:
            await count(connection, ended)
            # The time of the records and not of the wall: a replay forgets as the first run did.
            await forget(connection, min(accepted_us))
