"""How this room applies the journal's records to its tables: one row a turn, and its sums."""

from typing import Any

import asyncpg

from axon.metering.event_projecting import project_events
from axon.metering.rollups import ADD_TO_ROLLUPS, DELTA_COLUMNS
from axon.projection import Positioned
from axon.records import Assignment, TurnCompleted, TurnInterrupted

# Whether a turn counts is decided by its row alone: it comes again with its place, and with every
# replay, and is then no news. The sums are of the rows that this statement really inserted. A row
# from behind the journal's cursor, of a record that was parked, is late: who reads the rows in the
# order of the journals has passed its place.
_INSERT = f"""
WITH told AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::text[], $9::text[], $10::bigint[], $11::int[], $12::int[], $13::int[],
        $14::int[], $15::int[], $16::boolean[], $17::text[], $18::text[], $19::bigint[],
        $20::bigint[], $21::text[], $22::bigint[], $23::text[], $24::text[], $25::boolean[])
), fresh AS (
    INSERT INTO metering.turns (user_id, turn_id, org_id, credential_id, model, variant, upstream,
        surface, status, accepted_us, input_tokens, cached_tokens, cache_write_tokens,
        output_tokens, reasoning_tokens, estimated, price_id, currency, cost_nano,
        overage_nano, instance, sequence, region, tier, ours)
    SELECT * FROM told
    ON CONFLICT (user_id, turn_id) DO NOTHING
    RETURNING *
), deltas AS (
    SELECT {DELTA_COLUMNS} FROM fresh
), late AS (
    INSERT INTO metering.late_turns (user_id, turn_id)
    SELECT fresh.user_id, fresh.turn_id FROM fresh JOIN projection.cursors USING (instance)
    WHERE fresh.sequence <= cursors.sequence
), {ADD_TO_ROLLUPS}
SELECT count(*) FROM fresh
"""  # noqa: S608 - names of ours alone


class MeteringProjector:
    """Meters each turn once, by the first record that ends it, and each outside event once."""

    name = "metering"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records within the open transaction; the same record twice changes nothing.

        An erased person's figures stay, under the number that nobody can turn into a name: what
        was billed must be provable.
        """
        rows: dict[tuple[int, str], tuple[Any, ...]] = {}
        for positioned in records:
            record = positioned.record
            if isinstance(record, TurnCompleted | TurnInterrupted):
                rows.setdefault((record.head.user, record.head.turn_id), _row(positioned, record))
        if rows:
            await connection.execute(_INSERT, *zip(*rows.values(), strict=True))
        await project_events(connection, records)


def _row(positioned: Positioned, record: TurnCompleted | TurnInterrupted) -> tuple[Any, ...]:
    head, usage, charge = record.head, record.usage, record.charge
    return (
        head.user,
        head.turn_id,
        head.org_id,
        head.credential_id,
        without_nul(head.runs_on),
        without_nul(variant_of(record.assignments)),
        without_nul(record.upstream),
        head.surface,
        record.status,
        head.accepted_us,
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.estimated,
        charge.price_id,
        charge.currency,
        charge.cost_nano,
        charge.overage_nano,
        positioned.instance,
        positioned.sequence,
        without_nul(head.region),
        without_nul(head.tier),
        head.ours,
    )


def variant_of(assignments: list[Assignment]) -> str:
    """Return which variants of flags a turn was served, as one text; empty without any."""
    if not assignments:
        return ""
    return ",".join(sorted(f"{one.flag}={one.variant}" for one in assignments if one.variant))


def without_nul(text: str) -> str:
    """Return the text as PostgreSQL can hold it: it knows no NUL."""
    return text.replace("\0", "�")
