"""START HERE: looking for turns, reading what was said in them, and who did so."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import msgspec

from axon.audit.errors import AuditUnavailable, SecondAuditorNeeded, UnknownPerson, UnknownTurn
from axon.audit.holding import (
    Hold,
    ReadRequest,
    approve_request,
    insert_hold,
    insert_request,
    is_approved,
    list_holds,
    list_requests,
    read_request,
    release_hold,
)
from axon.audit.opening import Opened, open_kept
from axon.audit.store import (
    Access,
    AuditedTurn,
    AuditQuestion,
    access_of,
    is_known,
    read_kept,
    read_log,
    read_turn,
    search_turns,
)
from axon.base import Clock, IdMint, until_done
from axon.conversations import HistoryUnavailable, Opener, Owner
from axon.deeds import read_deeds
from axon.journal import Journal
from axon.records import AccessLogged, encode
from axon.stores import Postgres, PostgresAway
from axon.telemetry import counter

QUERY_TIMEOUT_S = 5.0
"""A search over a year of an organization may take longer than a look-up does."""

ACCESS_PREFIX = "acc"
REQUEST_PREFIX = "areq"
HOLD_PREFIX = "hold"

MANY = -1
"""The subject of what is about many people."""

_reads = counter("axon_audit_accesses_total", "What auditors and officers did.", ("action",))
for _action in (
    "read", "requested", "approved", "held", "released", "exported", "erased", "trained",
    "training_policy", "training_consent",
):  # fmt: skip
    _reads.labels(_action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """Who asks, and why."""

    org_id: str
    user: int
    credential_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditParts:
    """What the audit works with; opened and closed by their owner."""

    postgres: Postgres
    journal: Journal
    opener: Opener
    mint: IdMint
    clock: Clock
    two_people: bool
    """Whether another auditor has to approve before content is opened."""


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, with what was said in it."""

    turn: AuditedTurn
    opened: Opened


class Audit:
    """One for each serving process; every method may raise AuditUnavailable."""

    def __init__(self, parts: AuditParts) -> None:
        """Nothing is read yet."""
        self._parts = parts

    async def search(self, asked: AuditQuestion) -> list[AuditedTurn]:
        """Return turns without what was said in them, the newest first."""
        async with self._connected() as connection:
            return await search_turns(connection, asked)

    async def turn(self, owner: Owner, turn_id: str) -> AuditedTurn:
        """Return one turn without what was said in it; raises UnknownTurn."""
        async with self._connected() as connection:
            found = await read_turn(connection, owner.org_id, owner.user, turn_id)
        if found is None:
            raise UnknownTurn(turn_id)
        return found

    async def require_person(self, org_id: str, user: int) -> None:
        """Return when somebody of the organization has this number; raises UnknownPerson.

        A name leads to a number of the asking organization alone, whatever the name is. A number
        that a client gives might be another organization's: nothing is done to one nobody knows.
        """
        async with self._connected() as connection:
            if not await is_known(connection, org_id, user):
                raise UnknownPerson(f"{user:016x}")

    async def read(
        self, auditor: Auditor, owner: Owner, turn_id: str, request_id: str = ""
    ) -> AuditView:
        """Return a turn with what was said in it, once it is on disk that it was read, and why.

        Raises UnknownTurn; SecondAuditorNeeded where two people must agree and `request_id` is no
        approved request of this auditor's for this turn; UnknownRequest; JournalError.
        """
        self._parts.journal.admit()
        turn = await self.turn(owner, turn_id)
        if self._parts.two_people:
            await self._require_approval(auditor, turn_id, request_id)
        await self.log(auditor, "read", owner.user, [turn_id])
        async with self._connected() as connection:
            kept = await read_kept(connection, owner.org_id, owner.user, turn_id)
        try:
            opened = await open_kept(self._parts.opener, owner, turn_id, *kept)
        except HistoryUnavailable as away:
            raise AuditUnavailable("a key is on another node") from away
        return AuditView(turn=turn, opened=opened)

    async def ask(self, auditor: Auditor, owner: Owner, turn_id: str) -> ReadRequest:
        """Ask to read a turn, for another auditor to approve; raises UnknownTurn, JournalError."""
        parts = self._parts
        parts.journal.admit()
        await self.turn(owner, turn_id)
        request = ReadRequest(
            request_id=parts.mint.mint(REQUEST_PREFIX, auditor.org_id, auditor.user),
            user=auditor.user,
            turn_id=turn_id,
            reason=auditor.reason,
            asked_us=parts.clock.now_us(),
            approved_by=None,
            approved_us=0,
        )
        async with self._connected() as connection, connection.transaction():
            await insert_request(connection, auditor.org_id, request)
            objects = [turn_id, request.request_id]
            await self.log(auditor, "requested", owner.user, objects)
        return request

    async def approve(self, auditor: Auditor, request_id: str) -> ReadRequest:
        """Let somebody else read what they asked for.

        Raises UnknownRequest, OwnRequest, JournalError.
        """
        parts = self._parts
        parts.journal.admit()
        async with self._connected() as connection, connection.transaction():
            request = await read_request(connection, auditor.org_id, request_id)
            now_us = parts.clock.now_us()
            await approve_request(connection, request, auditor.user, now_us)
            await self.log(auditor, "approved", MANY, [request.turn_id, request_id])
        return msgspec.structs.replace(request, approved_by=auditor.user, approved_us=now_us)

    async def requests(self, org_id: str) -> list[ReadRequest]:
        """Return the newest requests to read turns."""
        async with self._connected() as connection:
            return await list_requests(connection, org_id)

    async def accesses(
        self, org_id: str, before: tuple[int, str] | None, limit: int
    ) -> Sequence[Access]:
        """Return who reached for what others said, or changed what has power, the newest first."""
        async with self._connected() as connection:
            reached = await read_log(connection, org_id, before, limit)
            done = await read_deeds(connection, org_id, before, limit)
        found = [*reached, *map(access_of, done)]
        return sorted(found, key=lambda one: (one.at_us, one.access_id), reverse=True)[:limit]

    async def hold(self, auditor: Auditor, user: int, conversation_id: str = "") -> Hold:
        """See that nothing of a person, or of one conversation, is erased or expires."""
        parts = self._parts
        parts.journal.admit()
        hold = Hold(
            hold_id=parts.mint.mint(HOLD_PREFIX, auditor.org_id, auditor.user),
            user=user,
            conversation_id=conversation_id,
            reason=auditor.reason,
            held_us=parts.clock.now_us(),
        )
        async with self._connected() as connection, connection.transaction():
            await insert_hold(connection, auditor.org_id, hold)
            objects = [hold.hold_id, *([conversation_id] if conversation_id else [])]
            await self.log(auditor, "held", user, objects)
        return hold

    async def release(self, auditor: Auditor, hold_id: str) -> Hold:
        """End a legal hold; raises UnknownHold."""
        self._parts.journal.admit()
        async with self._connected() as connection, connection.transaction():
            hold = await release_hold(
                connection, auditor.org_id, hold_id, self._parts.clock.now_us()
            )
            await self.log(auditor, "released", hold.user, [hold_id])
        return hold

    async def holds(self, org_id: str) -> list[Hold]:
        """Return the legal holds that are in force."""
        async with self._connected() as connection:
            return await list_holds(connection, org_id)

    async def log(
        self, auditor: Auditor, action: str, subject: int, objects: Sequence[str]
    ) -> None:
        """Return once it is on disk that somebody did this; raises JournalError."""
        parts = self._parts
        record = AccessLogged(
            access_id=parts.mint.mint(ACCESS_PREFIX, auditor.org_id, auditor.user),
            org_id=auditor.org_id,
            user=auditor.user,
            credential_id=auditor.credential_id,
            at_us=parts.clock.now_us(),
            action=action,
            subject=subject,
            objects=list(objects),
            reason=auditor.reason,
        )
        await until_done(parts.journal.append(*encode(record)))
        _reads.labels(action).inc()

    async def _require_approval(self, auditor: Auditor, turn_id: str, request_id: str) -> None:
        if not request_id:
            raise SecondAuditorNeeded
        async with self._connected() as connection, connection.transaction():
            request = await read_request(connection, auditor.org_id, request_id)
        if not is_approved(request, auditor.user, turn_id, self._parts.clock.now_us()):
            raise SecondAuditorNeeded(request_id)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                yield connection
        except PostgresAway as error:
            raise AuditUnavailable(error.detail) from error
