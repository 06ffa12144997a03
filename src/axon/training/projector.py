"""How consents become rows: of one person the newest record counts, whichever comes last."""

import asyncpg

from axon.projection import Positioned
from axon.records import SubjectErased, TrainingConsent
from axon.training.consent import NO
from axon.training.store import write_consent


class TrainingProjector:
    """Applies the records of consent; the same record twice changes nothing."""

    name = "training"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records in order within the open transaction."""
        for positioned in records:
            record = positioned.record
            if isinstance(record, TrainingConsent):
                await write_consent(connection, record)
            elif isinstance(record, SubjectErased):
                refusal = TrainingConsent(
                    org_id=record.org_id, user=record.user, consent=NO, at_us=record.at_us
                )
                await write_consent(connection, refusal)
