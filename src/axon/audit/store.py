"""The SQL of the audit's questions; who gave feedback is asked of its tables beside them."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import msgspec

from axon.deeds import Deed

NOBODYS = -1
"""The subject of what is not about one person."""

_SHOWN = """
SELECT t.turn_id, t.user_id AS user, t.credential_id, t.conversation_id, t.surface, t.model,
t.variant_model, t.safety, t.variants, t.accepted_us, t.status, t.reason, t.upstream, t.upstream_id,
t.first_token_us, t.completed_us, t.input_tokens, t.output_tokens, t.currency, t.cost_nano,
t.instance, t.accepted_sequence, t.ended_sequence, t.verdicts, coalesce(f.rating, '') AS rating,
f.turn_id IS NOT NULL AS has_feedback
FROM audit.turns AS t
LEFT JOIN feedback.feedback AS f
    ON f.user_id = t.user_id AND f.turn_id = t.turn_id AND NOT f.withdrawn
"""

_SEARCH = f"""
{_SHOWN}
WHERE t.org_id = $1 AND t.accepted_us >= $2 AND t.accepted_us < $3
    AND ($4::bigint IS NULL OR t.user_id = $4)
    AND ($5 = '' OR t.model = $5 OR t.variant_model = $5)
    AND ($6 = '' OR t.variants @> ARRAY[$6])
    AND ($7 = '' OR EXISTS (SELECT 1 FROM unnest(t.variants) AS v WHERE starts_with(v, $7 || ':')))
    AND ($8 = '' OR (CASE $8 WHEN 'any' THEN f.turn_id IS NOT NULL ELSE f.rating = $8 END))
    AND ($9 = '' OR t.status = $9) AND ($10 = '' OR t.safety = $10)
    AND ($11 = '' OR t.verdicts && ARRAY['input:' || $11, 'output:' || $11])
    AND ($12::bigint IS NULL OR (t.accepted_us, t.turn_id) < ($12, $13))
ORDER BY t.accepted_us DESC, t.turn_id DESC LIMIT $14
"""  # noqa: S608 - text of ours alone

_ONE = f"{_SHOWN} WHERE t.org_id = $1 AND t.user_id = $2 AND t.turn_id = $3"

_KEPT = (
    "SELECT request, content FROM audit.turns WHERE org_id = $1 AND user_id = $2 AND turn_id = $3"
)

_LOG = """
SELECT access_id, user_id AS user, credential_id, at_us, action, subject, objects, reason
FROM audit.accesses WHERE org_id = $1 AND ($2::bigint IS NULL OR (at_us, access_id) < ($2, $3))
ORDER BY at_us DESC, access_id DESC LIMIT $4
"""

_KNOWN = """
SELECT EXISTS (SELECT FROM accounts.users WHERE id = $2 AND org_id = $1)
    OR EXISTS (SELECT FROM audit.turns WHERE user_id = $2 AND org_id = $1)
    OR EXISTS (SELECT FROM conversations.turns WHERE user_id = $2 AND org_id = $1)
    OR EXISTS (SELECT FROM conversations.conversations WHERE user_id = $2 AND org_id = $1)
"""


class AuditedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn without what was said in it."""

    turn_id: str
    user: int
    credential_id: str
    conversation_id: str
    surface: str
    model: str
    variant_model: str
    safety: str
    variants: list[str]
    """As flag:variant."""
    accepted_us: int
    status: str
    reason: str
    upstream: str
    upstream_id: str
    first_token_us: int
    completed_us: int
    input_tokens: int
    output_tokens: int
    currency: str
    cost_nano: int
    instance: str
    accepted_sequence: int
    ended_sequence: int
    verdicts: list[str]
    """Of safety, as stage:action."""
    rating: str
    has_feedback: bool


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody reached for what others said, or changed what has power or configuration."""

    access_id: str
    user: int
    credential_id: str
    at_us: int
    action: str
    subject: int
    objects: list[str]
    reason: str
    deed: Deed | None = None
    """What was changed, if that is what was done."""


def access_of(deed: Deed) -> Access:
    """Return a deed as the log has it beside the rest."""
    return Access(
        access_id=deed.deed_id,
        user=deed.actor.user,
        credential_id=deed.actor.credential_id,
        at_us=deed.at_us,
        action=deed.action,
        subject=NOBODYS,
        objects=[deed.object],
        reason="",
        deed=deed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuestion:
    """Which turns are looked for; what is empty fits all."""

    org_id: str
    since_us: int = 0
    until_us: int = 2**62
    user: int | None = None
    model: str = ""
    variant: str = ""
    """As flag:variant."""
    flag: str = ""
    feedback: str = ""
    """up, down or any."""
    status: str = ""
    safety: str = ""
    verdict: str = ""
    """What safety did at either end: passed, flagged, redacted, blocked or unchecked."""
    before: tuple[int, str] | None = None
    """Instant and id of the last one of the page before."""
    limit: int = 20


async def search_turns(connection: asyncpg.Connection, asked: AuditQuestion) -> list[AuditedTurn]:
    """Return what fits the question, the newest first."""
    before_us, before_turn = asked.before or (None, "")
    rows = await connection.fetch(
        _SEARCH,
        asked.org_id,
        asked.since_us,
        asked.until_us,
        asked.user,
        asked.model,
        asked.variant,
        asked.flag,
        asked.feedback,
        asked.status,
        asked.safety,
        asked.verdict,
        before_us,
        before_turn,
        asked.limit,
    )
    return [AuditedTurn(**row) for row in rows]


async def read_turn(
    connection: asyncpg.Connection, org_id: str, user: int, turn_id: str
) -> AuditedTurn | None:
    """Return one turn, None when it is not there."""
    row = await connection.fetchrow(_ONE, org_id, user, turn_id)
    return None if row is None else AuditedTurn(**row)


async def is_known(connection: asyncpg.Connection, org_id: str, user: int) -> bool:
    """Return whether PostgreSQL has seen a person of this number in the organization."""
    found: bool = await connection.fetchval(_KNOWN, org_id, user)
    return found


async def read_kept(
    connection: asyncpg.Connection, org_id: str, user: int, turn_id: str
) -> tuple[bytes | None, bytes | None]:
    """Return what was asked and what was said, sealed; None for what there is none of."""
    row = await connection.fetchrow(_KEPT, org_id, user, turn_id)
    return (None, None) if row is None else (row["request"], row["content"])


async def read_log(
    connection: asyncpg.Connection, org_id: str, before: tuple[int, str] | None, limit: int
) -> Sequence[Access]:
    """Return who reached for what, the newest first."""
    rows = await connection.fetch(_LOG, org_id, *(before or (None, "")), limit)
    return [Access(**row) for row in rows]
