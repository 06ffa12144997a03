"""How this room applies the journal's records to its tables."""

import asyncpg

from axon.experiments.store import apply_step, is_applied
from axon.projection import Positioned
from axon.records import ExperimentChanged
from axon.telemetry import log


class ExperimentsProjector:
    """Applies changes that their own process did not live to apply; others are no news."""

    name = "experiments"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records within the open transaction; the same record twice changes nothing."""
        for positioned in records:
            record = positioned.record
            if not isinstance(record, ExperimentChanged):
                continue
            if await apply_step(connection, record):
                continue
            if not await is_applied(connection, record.change_id):
                log.warning(
                    "experiments.change-overtaken",
                    "A change that nobody was told of has no effect: another one came first.",
                    axon__experiment=record.name,
                    axon__journal__instance=positioned.instance,
                )
