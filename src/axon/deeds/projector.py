"""How this room applies the journal's records to its table."""

import asyncpg

from axon.deeds.store import insert_recorded
from axon.projection import Positioned
from axon.records import AdminAction


class DeedsProjector:
    """Brings back what a restored database lacks; else every deed is there before its record."""

    name = "deeds"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records within the open transaction; the same record twice changes nothing."""
        for positioned in records:
            if isinstance(positioned.record, AdminAction):
                await insert_recorded(connection, positioned.record)
