"""What flags decided about turns, as rows: one for each turn and flag."""

import asyncpg

from axon.projection import Positioned
from axon.records import TurnCompleted, TurnInterrupted

# A turn's record comes again with every replay, and with its place: it is then no news.
_INSERT = """
INSERT INTO flags.assignments (user_id, turn_id, flag, variant, reason, definition_version,
    definition, bucketing_version, unit, org_id, accepted_us, placed_as,
    refused)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[],
    $7::text[], $8::int[], $9::text[], $10::text[], $11::bigint[],
    $12::bigint[], $13::boolean[])
ON CONFLICT (user_id, turn_id, flag) DO NOTHING
"""


async def project_assignments(connection: asyncpg.Connection, records: list[Positioned]) -> None:
    """Write what flags decided about the turns that end here; the same twice changes nothing."""
    rows = []
    for positioned in records:
        record = positioned.record
        if not isinstance(record, TurnCompleted | TurnInterrupted):
            continue
        head = record.head
        rows += [
            (
                head.user,
                head.turn_id,
                _without_nul(one.flag),
                _without_nul(one.variant),
                one.reason,
                one.definition_version,
                one.definition,
                one.bucketing_version,
                one.unit,
                head.org_id,
                head.accepted_us,
                one.placed_as,
                isinstance(record, TurnCompleted) and record.refused,
            )
            for one in record.assignments
        ]
    if rows:
        await connection.execute(_INSERT, *zip(*rows, strict=True))


def _without_nul(text: str) -> str:
    """Return the text as PostgreSQL can hold it: it knows no NUL."""
    return text.replace("\0", "\ufffd")
