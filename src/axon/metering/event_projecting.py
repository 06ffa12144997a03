"""How outside events become rows: each identity once, whichever batch or replay brings it."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import asyncpg

from axon.projection import Positioned
from axon.records import EventsReceived

_ROWS_AT_ONCE = 10_000
"""Of one statement: some megabytes."""

_INSERT = """
INSERT INTO metering.events (org_id, source, id, type, subject, time_us, received_us, late, data,
    credential_id, instance, sequence)
SELECT org_id, source, id, type, subject, time_us, received_us, late, nullif(data, '')::jsonb,
    credential_id, instance, sequence
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
    $8::boolean[], $9::text[], $10::text[], $11::text[], $12::bigint[]) WITH ORDINALITY
    AS told (org_id, source, id, type, subject, time_us, received_us, late, data, credential_id,
        instance, sequence, place)
ORDER BY place
ON CONFLICT (org_id, source, id) DO NOTHING
"""


async def project_events(connection: asyncpg.Connection, records: Sequence[Positioned]) -> None:
    """Insert the events of the records that are not there yet, within the open transaction."""
    rows = _rows(records)
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        await connection.execute(_INSERT, *zip(*some, strict=True))


def _rows(records: Sequence[Positioned]) -> Iterator[tuple[Any, ...]]:
    for positioned in records:
        record = positioned.record
        if not isinstance(record, EventsReceived):
            continue
        for event in record.events:
            yield (
                record.org_id,
                event.source,
                event.id,
                event.type,
                event.subject,
                event.time_us,
                record.received_us,
                event.late,
                event.data.decode(),
                record.credential_id,
                positioned.instance,
                positioned.sequence,
            )
