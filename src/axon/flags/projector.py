"""How this room applies the journal's records to its tables."""

import asyncpg

from axon.flags.assigned import project_assignments
from axon.flags.store import apply_change, exclude_others, is_applied
from axon.projection import Positioned
from axon.records import FlagsChanged
from axon.telemetry import log


class FlagsProjector:
    """Applies changes of the flags that their own process did not live to apply, and assignments.

    Who changes flags writes the record first and then the tables, in one transaction that nobody
    else's change can enter. What is here already is no news.
    """

    name = "flags"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records within the open transaction; the same record twice changes nothing."""
        await project_assignments(connection, records)
        for positioned in records:
            record = positioned.record
            if not isinstance(record, FlagsChanged):
                continue
            if await is_applied(connection, record.change_id):
                continue
            await exclude_others(connection)
            if await apply_change(connection, record):
                continue
            if not await is_applied(connection, record.change_id):
                log.warning(
                    "flags.change-overtaken",
                    "A change that nobody was told of has no effect: another one came first.",
                    axon__flags__number=record.number,
                    axon__journal__instance=positioned.instance,
                )
