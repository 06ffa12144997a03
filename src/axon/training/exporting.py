"""Making examples of turns, a page at a time: consent, what was thought of them, redaction."""

from collections import Counter
from dataclasses import dataclass, replace

import msgspec

from axon.archive import Thawing
from axon.audit import MANY, Audit, Auditor
from axon.base import MIB
from axon.conversations import Opener, Owner
from axon.feedback import Feedback, FeedbackRoom, FeedbackUnavailable, UnknownFeedback
from axon.privacy import Policies
from axon.stores import Postgres, PostgresAway
from axon.training.consent import basis
from axon.training.errors import TrainingUnavailable, Unusable
from axon.training.exchange import QUERY_TIMEOUT_S, Exchange, Exchanges
from axon.training.formats import JUDGED, Format, Judged, Pair, examples
from axon.training.hiding import ExampleRedactor
from axon.training.store import (
    TrainingQuestion,
    TurnRow,
    count_turns,
    read_disliked,
    read_one,
    read_page,
)

PAGE_TURNS_MAX = 200

PAGE_BYTES_MAX = 8 * MIB
"""Of examples: a page ends early, behind the turn with which it has as much."""

COMPARED_MAX = 20
"""Answers found bad that one found good is compared with: those of the same question stand near."""

_SURFACES = ("chat", "responses")
_BLOCKED = ("input:blocked", "output:blocked")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingParts:
    """What exports work with; opened and closed by their owner."""

    postgres: Postgres
    opener: Opener
    archive: Thawing
    feedback: FeedbackRoom
    audit: Audit
    policies: Policies


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFilter:
    """What is exported: turns accepted in [since_us, until_us); an empty model is any."""

    format: Format
    since_us: int
    until_us: int
    model: str = ""
    liked: bool = False
    """Only answers that somebody found good, or corrected."""


class TrainingPage(msgspec.Struct, kw_only=True):
    """Some turns' examples."""

    examples: list[bytes] = []
    """Each one object of JSON."""
    turns: int = 0
    """That were looked at."""
    bases: Counter[str] = msgspec.field(default_factory=Counter)
    """Why examples may be used: `opted_in` or `organization`."""
    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    """Turns of which nothing was made, by why."""
    hidden: Counter[str] = msgspec.field(default_factory=Counter)
    """Values that were hidden, by kind."""
    last: tuple[int, str] = (0, "")
    """Instant and id of the last turn that was looked at."""
    has_more: bool = False
    redactor: str = ""
    """Which patterns hid them."""


class TrainingExports:
    """One for each serving process."""

    def __init__(self, parts: TrainingParts) -> None:
        """Nothing is exported yet."""
        self._parts = parts
        self._exchanges = Exchanges(parts.opener, parts.postgres, parts.archive)

    async def count(self, org_id: str, wanted: TrainingFilter) -> int | None:
        """Return how many turns an export looks at; None for very many.

        Raises TrainingUnavailable.
        """
        asked = _question(org_id, wanted, (0, ""), 0)
        try:
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                return await count_turns(connection, asked)
        except PostgresAway as away:
            raise TrainingUnavailable(away.detail) from away

    async def page(
        self, who: Auditor, wanted: TrainingFilter, after: tuple[int, str], limit: int
    ) -> TrainingPage:
        """Return the next examples, once it is on disk who took them, and why.

        Consent is asked of PostgreSQL for each page anew. Raises TrainingUnavailable, JournalError.
        """
        parts = self._parts
        asked = _question(who.org_id, wanted, after, min(limit, PAGE_TURNS_MAX))
        try:
            async with parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                rows = await read_page(connection, replace(asked, limit=asked.limit + 1))
        except PostgresAway as away:
            raise TrainingUnavailable(away.detail) from away
        redactor = parts.policies.of(who.org_id).redactor
        page = TrainingPage(redactor=redactor.version, last=after)
        size = 0
        for row in rows[: asked.limit]:
            size += await self._add(page, who.org_id, wanted, row)
            page.turns += 1
            page.last = (row.accepted_us, row.turn_id)
            if size >= PAGE_BYTES_MAX:
                break
        page.has_more = page.turns < len(rows)
        told = [
            wanted.format,
            f"turns:{page.turns}",
            f"examples:{len(page.examples)}",
            page.last[1],
        ]
        await parts.audit.log(who, "trained", MANY, told)
        return page

    async def _add(
        self, page: TrainingPage, org_id: str, wanted: TrainingFilter, row: TurnRow
    ) -> int:
        """Add what one turn gives; return its size in bytes."""
        try:
            why = _allowed(row)
            judged = await self._judged(org_id, wanted, row)
        except Unusable as reason:
            page.dropped[reason.detail] += 1
            return 0
        found = examples(wanted.format, judged)
        if not found:
            page.dropped["nothing_to_learn"] += 1
            return 0
        hiding = ExampleRedactor(self._parts.policies.of(org_id).redactor)
        made = [msgspec.json.encode(hiding.redact(one)) for one in found]
        page.examples += made
        page.bases[why] += len(made)
        page.hidden.update(hiding.hidden)
        return sum(map(len, made))

    async def _judged(self, org_id: str, wanted: TrainingFilter, row: TurnRow) -> Judged:
        thought = await self._thought(org_id, row)
        edited = (thought.edited or "") if thought is not None else ""
        if wanted.liked and row.rating != "up" and not edited:
            raise Unusable("not_liked")
        exchange = await self._exchanges.read(org_id, row)
        if not exchange.prompt or not exchange.answer:
            raise Unusable("shape")
        pairs = await self._pairs(org_id, row, exchange) if wanted.format in JUDGED else []
        good = {"up": True, "down": False}.get(row.rating)
        return Judged(exchange, good, edited, pairs)

    async def _thought(self, org_id: str, row: TurnRow) -> Feedback | None:
        """Return what was said of the answer, opened, where it was corrected."""
        if not row.was_edited:
            return None
        try:
            owner = Owner(org_id=org_id, user=row.user)
            return await self._parts.feedback.one(owner, row.turn_id)
        except UnknownFeedback:  # it was withdrawn just now
            return None
        except FeedbackUnavailable as away:
            raise TrainingUnavailable(away.detail) from away

    async def _pairs(self, org_id: str, row: TurnRow, exchange: Exchange) -> list[Pair]:
        """Return the answer beside worse ones to the same prompt, of the same person."""
        try:
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                others: list[TurnRow | None] = []
                if row.preferred_over:
                    others.append(await read_one(connection, org_id, row.user, row.preferred_over))
                if row.rating == "up":
                    others += await read_disliked(connection, org_id, row, COMPARED_MAX)
        except PostgresAway as away:
            raise TrainingUnavailable(away.detail) from away
        pairs, seen = [], {row.turn_id}
        for other in others:
            if other is None or other.turn_id in seen:
                continue
            seen.add(other.turn_id)
            try:
                _allowed(other)
                worse = await self._exchanges.read(org_id, other)
            except Unusable:
                continue
            if worse.prompt == exchange.prompt:
                pairs.append(Pair(exchange.answer, worse.answer))
        return pairs


def _question(
    org_id: str, wanted: TrainingFilter, after: tuple[int, str], limit: int
) -> TrainingQuestion:
    return TrainingQuestion(
        org_id=org_id,
        since_us=wanted.since_us,
        until_us=wanted.until_us,
        model=wanted.model,
        judged=wanted.format in JUDGED or wanted.liked,
        after=after,
        limit=limit,
    )


def _allowed(row: TurnRow) -> str:
    """Return why the turn may be used; raise Unusable."""
    why = basis(row.policy, row.consent, row.region)
    if row.ours or row.surface not in _SURFACES:
        raise Unusable("no_chat")
    if any(one in _BLOCKED for one in row.verdicts):
        raise Unusable("blocked")
    return why
