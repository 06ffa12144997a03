"""How the records of turns become the rows of the audit."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from axon.audit.sealed_parts import asked_of, said_of, variants_of
from axon.projection import Positioned
from axon.records import (
    AccessLogged,
    SubjectErased,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    TurnInterrupted,
)

_ACCEPT = """
INSERT INTO audit.turns AS there (user_id, turn_id, org_id, credential_id, conversation_id, surface,
    model, variant_model, safety, variants, accepted_us, instance, accepted_sequence, request)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (user_id, turn_id) DO UPDATE SET accepted_sequence = excluded.accepted_sequence,
    request = excluded.request
WHERE there.accepted_sequence = 0
"""

# The end of a turn without a place comes again with one, and only that counts.
_END = """
INSERT INTO audit.turns AS there (user_id, turn_id, org_id, credential_id, conversation_id, surface,
    model, variant_model, safety, variants, accepted_us, instance, ended_sequence, content, status,
    reason, upstream, upstream_id, first_token_us, completed_us, input_tokens, output_tokens,
    currency, cost_nano, unplaced)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, $23, $24, $25)
ON CONFLICT (user_id, turn_id) DO UPDATE SET conversation_id = excluded.conversation_id,
    variants = excluded.variants, ended_sequence = excluded.ended_sequence,
    content = excluded.content, status = excluded.status, reason = excluded.reason,
    upstream = excluded.upstream, upstream_id = excluded.upstream_id,
    first_token_us = excluded.first_token_us, completed_us = excluded.completed_us,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    currency = excluded.currency, cost_nano = excluded.cost_nano, unplaced = excluded.unplaced
WHERE there.ended_sequence = 0 OR (there.unplaced AND NOT excluded.unplaced)
"""

_LOG = """
INSERT INTO audit.accesses (access_id, org_id, user_id, credential_id, at_us, action, subject,
    objects, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
"""

_ERASE = """
UPDATE audit.turns SET request = NULL, content = NULL
WHERE user_id = $1 AND (request IS NOT NULL OR content IS NOT NULL)
"""


class AuditProjector:
    """Applies the records of turns, accesses and erasures; the same twice changes nothing."""

    name = "audit"

    async def apply(self, connection: asyncpg.Connection, records: list[Positioned]) -> None:
        """Apply the records in order within the open transaction."""
        accepted: list[tuple[Any, ...]] = []
        ended: list[tuple[Any, ...]] = []
        for positioned in records:
            record = positioned.record
            if isinstance(record, TurnAccepted):
                place = (positioned.instance, positioned.sequence)
                accepted.append(
                    (*_head(record.head, variants_of(record)), *place, asked_of(record))
                )
            elif isinstance(record, TurnCompleted | TurnInterrupted):
                ended.append(_end(positioned, record))
            elif isinstance(record, AccessLogged):
                await connection.execute(_LOG, *_access(record))
            elif isinstance(record, SubjectErased):
                await _write(connection, accepted, ended)
                accepted, ended = [], []
                await connection.execute(_ERASE, record.user)
        await _write(connection, accepted, ended)


async def _write(
    connection: asyncpg.Connection,
    accepted: Sequence[tuple[Any, ...]],
    ended: Sequence[tuple[Any, ...]],
) -> None:
    """Write the rows; of one turn the acceptance comes before the end in every journal."""
    if accepted:
        await connection.executemany(_ACCEPT, accepted)
    if ended:
        await connection.executemany(_END, ended)


def _head(head: TurnHead, variants: list[str]) -> tuple[Any, ...]:
    return (
        head.user,
        head.turn_id,
        head.org_id,
        head.credential_id,
        head.conversation_id,
        head.surface,
        head.model.replace("\0", ""),
        head.variant_model,
        head.safety,
        variants,
        head.accepted_us,
    )


def _end(positioned: Positioned, record: TurnCompleted | TurnInterrupted) -> tuple[Any, ...]:
    return (
        *_head(record.head, variants_of(record)),
        positioned.instance,
        positioned.sequence,
        said_of(record),
        record.status,
        record.reason if isinstance(record, TurnInterrupted) else "",
        record.upstream,
        record.upstream_id.replace("\0", ""),
        record.first_token_us,
        record.completed_us,
        record.usage.input_tokens,
        record.usage.output_tokens,
        record.charge.currency,
        record.charge.cost_nano,
        record.head.unplaced,
    )


def _access(record: AccessLogged) -> tuple[Any, ...]:
    return (
        record.access_id,
        record.org_id,
        record.user,
        record.credential_id,
        record.at_us,
        record.action,
        record.subject,
        record.objects,
        record.reason.replace("\0", ""),
    )
