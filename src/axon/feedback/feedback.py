"""START HERE: giving feedback, taking it back, and reading it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from axon.base import Clock, IdMint, Randomness, until_done
from axon.conversations import HistoryUnavailable, Opener, Owner
from axon.feedback.errors import FeedbackUnavailable, UnknownFeedback
from axon.feedback.store import FeedbackQuestion, FeedbackRow, list_feedback, read_feedback
from axon.journal import Journal
from axon.records import FeedbackGiven, encode
from axon.sealing import KeyStore, item_context, seal
from axon.stores import Postgres, PostgresAway
from axon.telemetry import counter

QUERY_TIMEOUT_S = 2.0

FEEDBACK_PREFIX = "fdb"
"""Of the ids of its records."""

COMMENT_ITEM = "feedback.comment"
EDITED_ITEM = "feedback.edited"
"""What the seals are bound to, beside the answer."""

_WORDS = "words"
_WITHDRAWN = "withdrawn"
_given = counter(
    "axon_feedback_total", "What was said of answers: a rating, words alone, or nothing any more.",
    ("rating",),
)  # fmt: skip
for _rating in ("up", "down", _WORDS, _WITHDRAWN):
    _given.labels(_rating)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a person says of an answer."""

    rating: str = ""
    comment: str = ""
    edited: str = ""
    preferred_over: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What was said of an answer, opened."""

    owner: Owner
    turn_id: str
    at_us: int
    rating: str
    comment: str | None
    """None where nothing was written, or its key was erased."""
    edited: str | None
    preferred_over: str
    model: str
    variants: tuple[str, ...]
    """As flag:variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackParts:
    """What feedback works with; opened and closed by their owner."""

    postgres: Postgres
    journal: Journal
    keys: KeyStore
    opener: Opener
    mint: IdMint
    clock: Clock
    randomness: Randomness


class FeedbackRoom:
    """Takes feedback into the journal, and reads it from PostgreSQL a moment later."""

    def __init__(self, parts: FeedbackParts) -> None:
        """One for each serving process."""
        self._parts = parts

    async def give(self, owner: Owner, credential_id: str, turn_id: str, given: Given) -> int:
        """Return when it is durable, with its instant; it stands in the place of what was said.

        Raises JournalError, KeyStoreBusy or KeyStoreFailed.
        """
        self._parts.journal.admit()
        comment = await self._sealed(owner, turn_id, COMMENT_ITEM, given.comment)
        edited = await self._sealed(owner, turn_id, EDITED_ITEM, given.edited)
        return await self._append(owner, credential_id, turn_id, given, (comment, edited))

    async def withdraw(self, owner: Owner, credential_id: str, turn_id: str) -> None:
        """Take back what was said of an answer; durable on return. May be repeated."""
        self._parts.journal.admit()
        await self._append(owner, credential_id, turn_id, None, (b"", b""))

    async def one(self, owner: Owner, turn_id: str) -> Feedback:
        """Return what was said of an answer; raises UnknownFeedback, FeedbackUnavailable."""
        async with self._connected() as connection:
            row = await read_feedback(connection, owner.user, turn_id)
        if row is None:
            raise UnknownFeedback(turn_id)
        return await self._opened(owner.org_id, row)

    async def page(self, asked: FeedbackQuestion) -> list[Feedback]:
        """Return what fits the question, the newest first; raises FeedbackUnavailable."""
        async with self._connected() as connection:
            rows = await list_feedback(connection, asked)
        return [await self._opened(asked.org_id, row) for row in rows]

    async def _append(
        self,
        owner: Owner,
        credential_id: str,
        turn_id: str,
        given: Given | None,
        sealed: tuple[bytes, bytes],
    ) -> int:
        parts = self._parts
        said = given or Given()
        record = FeedbackGiven(
            feedback_id=parts.mint.mint(FEEDBACK_PREFIX, owner.org_id, owner.user),
            org_id=owner.org_id,
            user=owner.user,
            credential_id=credential_id,
            turn_id=turn_id,
            at_us=parts.clock.now_us(),
            rating=said.rating,
            comment=sealed[0],
            edited=sealed[1],
            preferred_over=said.preferred_over,
            withdrawn=given is None,
        )
        await until_done(parts.journal.append(*encode(record)))
        _given.labels(_WITHDRAWN if given is None else said.rating or _WORDS).inc()
        return record.at_us

    async def _sealed(self, owner: Owner, turn_id: str, item: str, text: str) -> bytes:
        if not text:
            return b""
        key = await self._parts.keys.current(owner.org_id, owner.user)
        context = item_context(owner.org_id, owner.user, "", turn_id, item)
        return seal(key, context, text.encode(), self._parts.randomness)

    async def _opened(self, org_id: str, row: FeedbackRow) -> Feedback:
        owner = Owner(org_id=org_id, user=row.user)
        return Feedback(
            owner=owner,
            turn_id=row.turn_id,
            at_us=row.at_us,
            rating=row.rating,
            comment=await self._text(owner, (row.turn_id, COMMENT_ITEM), row.comment),
            edited=await self._text(owner, (row.turn_id, EDITED_ITEM), row.edited),
            preferred_over=row.preferred_over,
            model=row.model,
            variants=tuple(row.variants),
        )

    async def _text(self, owner: Owner, place: tuple[str, str], blob: bytes | None) -> str | None:
        if blob is None:
            return None
        try:
            content = await self._parts.opener.open(owner, ("", *place), blob)
        except HistoryUnavailable as away:
            raise FeedbackUnavailable("a key is on another node") from away
        return None if content is None else content.decode()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                yield connection
        except PostgresAway as error:
            raise FeedbackUnavailable(error.detail) from error
