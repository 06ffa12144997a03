"""How feedback becomes rows: of an answer the newest record counts, whichever comes last."""

import asyncpg

from axon.feedback.store import erase_feedback, write_feedback
from axon.projection import Positioned
from axon.records import FeedbackGiven, SubjectErased


class FeedbackProjector:
    """Applies the records of feedback; the same record twice changes nothing."""

    name = "feedback"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records in order within the open transaction."""
        for positioned in records:
            record = positioned.record
            if isinstance(record, FeedbackGiven):
                await write_feedback(connection, record)
            elif isinstance(record, SubjectErased):
                await erase_feedback(connection, record.user)
