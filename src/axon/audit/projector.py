"""How the records of turns become the rows of the audit."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg

from axon.audit.sealed_parts import asked_of, said_of, variants_of
from axon.base import MICROS_PER_SECOND
from axon.projection import Positioned
from axon.records import (
    AccessLogged,
    SubjectErased,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    TurnInterrupted,
)

_JOINED_BY = "\x1f"
"""Between the variants or verdicts of a turn, in one text: an array of arrays of any length is
none."""

_DAY_US = 86_400 * MICROS_PER_SECOND

_HEAD = """user_id, turn_id, org_id, credential_id, conversation_id, surface, model, variant_model,
    safety, variants, accepted_us, instance"""

_HEAD_VALUES = """user_id, turn_id, org_id, credential_id, conversation_id, surface, model,
    variant_model, safety, string_to_array(variants, chr(31)), accepted_us, instance"""

_HEAD_TYPES = """$1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
    $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::text[]"""

_ADD_MONTHS = "SELECT audit.add_month(day * 86400000000) FROM unnest($1::bigint[]) AS day"

_ACCEPT = f"""
INSERT INTO audit.turns AS there ({_HEAD}, accepted_sequence, request)
SELECT {_HEAD_VALUES}, accepted_sequence, request
FROM unnest({_HEAD_TYPES}, $13::bigint[], $14::bytea[])
    AS came ({_HEAD}, accepted_sequence, request)
ON CONFLICT (user_id, turn_id, accepted_us) DO UPDATE SET
    accepted_sequence = excluded.accepted_sequence, request = excluded.request
WHERE there.accepted_sequence = 0
"""  # noqa: S608 - names of ours alone

_ENDED = """ended_sequence, content, status, reason, upstream, upstream_id, first_token_us,
    completed_us, input_tokens, output_tokens, currency, cost_nano, unplaced, verdicts"""

_ENDED_VALUES = _ENDED.replace("verdicts", "string_to_array(verdicts, chr(31))")

# The end of a turn without a place comes again with one, and only that counts.
_END = f"""
INSERT INTO audit.turns AS there ({_HEAD}, {_ENDED})
SELECT {_HEAD_VALUES}, {_ENDED_VALUES}
FROM unnest({_HEAD_TYPES}, $13::bigint[], $14::bytea[], $15::text[], $16::text[], $17::text[],
    $18::text[], $19::bigint[], $20::bigint[], $21::integer[], $22::integer[], $23::text[],
    $24::bigint[], $25::boolean[], $26::text[]) AS came ({_HEAD}, {_ENDED})
ON CONFLICT (user_id, turn_id, accepted_us) DO UPDATE SET
    conversation_id = excluded.conversation_id, variants = excluded.variants,
    ended_sequence = excluded.ended_sequence, content = excluded.content,
    status = excluded.status, reason = excluded.reason,
    upstream = excluded.upstream, upstream_id = excluded.upstream_id,
    first_token_us = excluded.first_token_us, completed_us = excluded.completed_us,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    currency = excluded.currency, cost_nano = excluded.cost_nano, unplaced = excluded.unplaced,
    verdicts = excluded.verdicts
WHERE there.ended_sequence = 0 OR (there.unplaced AND NOT excluded.unplaced)
"""  # noqa: S608 - names of ours alone

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
        batch = _Batch()
        for positioned in records:
            record = positioned.record
            if isinstance(record, TurnAccepted | TurnCompleted | TurnInterrupted):
                batch.add(positioned, record)
            elif isinstance(record, AccessLogged):
                await connection.execute(_LOG, *_access(record))
            elif isinstance(record, SubjectErased):
                await batch.write(connection)
                batch = _Batch()
                await connection.execute(_ERASE, record.user)
        await batch.write(connection)


@dataclass(slots=True)
class _Batch:
    """The turns of some records, each to be written once: who began, and what counts as its end."""

    accepted: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    ended: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    unplaced: set[str] = field(default_factory=set)
    days: set[int] = field(default_factory=set)
    """On which they were accepted, since 1970 (UTC)."""

    def add(
        self, positioned: Positioned, record: TurnAccepted | TurnCompleted | TurnInterrupted
    ) -> None:
        """Take the next record."""
        turn_id = record.head.turn_id
        self.days.add(record.head.accepted_us // _DAY_US)
        if isinstance(record, TurnAccepted):
            place = (positioned.instance, positioned.sequence)
            row = (*_head(record.head, variants_of(record)), *place, asked_of(record))
            self.accepted.setdefault(turn_id, row)
        elif turn_id not in self.ended or (turn_id in self.unplaced and not record.head.unplaced):
            self.ended[turn_id] = _end(positioned, record)
            (self.unplaced.add if record.head.unplaced else self.unplaced.discard)(turn_id)

    async def write(self, connection: asyncpg.Connection) -> None:
        """Write the rows, those of each kind with one statement, in months that are there."""
        if self.days:
            await connection.execute(_ADD_MONTHS, list(self.days))
        if self.accepted:
            await connection.execute(_ACCEPT, *zip(*self.accepted.values(), strict=True))
        if self.ended:
            await connection.execute(_END, *zip(*self.ended.values(), strict=True))


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
        _JOINED_BY.join(variants),
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
        _JOINED_BY.join(f"{one.stage}:{one.action}" for one in record.verdicts),
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
