"""The SQL of legal holds, and of requests that another auditor has to approve."""

import asyncpg
import msgspec

from axon.audit.errors import LegalHold, OwnRequest, UnknownHold, UnknownRequest
from axon.stores import Postgres

LISTED_MAX = 1000

COUNT_TIMEOUT_S = 10.0
"""Those in force have an index of their own, and are few."""

APPROVED_FOR_US = 24 * 3_600_000_000
"""How long an approval lets read: a working day."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What must neither be erased nor expire."""

    hold_id: str
    user: int
    conversation_id: str
    """Empty: everything of the person."""
    reason: str
    held_us: int


class StandingHolds(msgspec.Struct, frozen=True, kw_only=True):
    """How many are in force, over everything of a person and over one conversation."""

    people: int
    conversations: int


class ReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asks to read a turn."""

    request_id: str
    user: int
    turn_id: str
    reason: str
    asked_us: int
    approved_by: int | None
    approved_us: int


async def insert_hold(connection: asyncpg.Connection, org_id: str, hold: Hold) -> None:
    """Keep a hold, within the open transaction."""
    await exclude_erasing(connection, hold.user)
    await connection.execute(
        "INSERT INTO audit.holds (hold_id, org_id, user_id, conversation_id, reason, held_us)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        hold.hold_id,
        org_id,
        hold.user,
        hold.conversation_id,
        hold.reason,
        hold.held_us,
    )


async def release_hold(
    connection: asyncpg.Connection, org_id: str, hold_id: str, now_us: int
) -> Hold:
    """End a hold and return it; raises UnknownHold."""
    row = await connection.fetchrow(
        "UPDATE audit.holds SET released_us = $3 WHERE org_id = $1 AND hold_id = $2"
        " AND released_us = 0"
        " RETURNING hold_id, user_id AS user, conversation_id, reason, held_us",
        org_id,
        hold_id,
        now_us,
    )
    if row is None:
        raise UnknownHold(hold_id[:100])
    return Hold(**row)


async def list_holds(connection: asyncpg.Connection, org_id: str) -> list[Hold]:
    """Return the holds that are in force, the newest first."""
    rows = await connection.fetch(
        "SELECT hold_id, user_id AS user, conversation_id, reason, held_us FROM audit.holds"
        " WHERE org_id = $1 AND released_us = 0 ORDER BY held_us DESC LIMIT $2",
        org_id,
        LISTED_MAX,
    )
    return [Hold(**row) for row in rows]


async def standing_holds(postgres: Postgres) -> StandingHolds:
    """Return how many holds are in force, of all organizations; raises PostgresAway."""
    async with postgres.connection(COUNT_TIMEOUT_S) as connection:
        rows = await connection.fetch(
            "SELECT count(*) FILTER (WHERE conversation_id = '') AS people,"
            " count(*) FILTER (WHERE conversation_id <> '') AS conversations"
            " FROM audit.holds WHERE released_us = 0"
        )
    return StandingHolds(**rows[0])


async def exclude_erasing(connection: asyncpg.Connection, user: int) -> None:
    """Wait for whoever holds or erases this person now; others wait until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", f"{user}")


async def refuse_held(connection: asyncpg.Connection, org_id: str, user: int) -> None:
    """Return when nothing of the person is held; raises LegalHold with the reason."""
    row = await connection.fetchrow(
        "SELECT hold_id, reason FROM audit.holds WHERE org_id = $1 AND user_id = $2"
        " AND released_us = 0 ORDER BY held_us LIMIT 1",
        org_id,
        user,
    )
    if row is not None:
        raise LegalHold(f"{row['hold_id']}: {row['reason']}")


async def refuse_any_held(connection: asyncpg.Connection, org_id: str) -> None:
    """Return when nothing of an organization's people is held; raises LegalHold with the reason."""
    found = await list_holds(connection, org_id)
    if found:
        raise LegalHold(f"{found[0].hold_id}: {found[0].reason}")


async def insert_request(connection: asyncpg.Connection, org_id: str, request: ReadRequest) -> None:
    """Keep a request."""
    await connection.execute(
        "INSERT INTO audit.requests (request_id, org_id, user_id, turn_id, reason, asked_us)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        request.request_id,
        org_id,
        request.user,
        request.turn_id,
        request.reason,
        request.asked_us,
    )


async def list_requests(connection: asyncpg.Connection, org_id: str) -> list[ReadRequest]:
    """Return the newest requests."""
    rows = await connection.fetch(
        "SELECT request_id, user_id AS user, turn_id, reason, asked_us, approved_by, approved_us"
        " FROM audit.requests WHERE org_id = $1 ORDER BY asked_us DESC, request_id LIMIT $2",
        org_id,
        LISTED_MAX,
    )
    return [ReadRequest(**row) for row in rows]


async def read_request(connection: asyncpg.Connection, org_id: str, request_id: str) -> ReadRequest:
    """Return a request, locked until the transaction ends; raises UnknownRequest."""
    row = await connection.fetchrow(
        "SELECT request_id, user_id AS user, turn_id, reason, asked_us, approved_by, approved_us"
        " FROM audit.requests WHERE org_id = $1 AND request_id = $2 FOR UPDATE",
        org_id,
        request_id,
    )
    if row is None:
        raise UnknownRequest(request_id[:100])
    return ReadRequest(**row)


async def approve_request(
    connection: asyncpg.Connection, request: ReadRequest, approver: int, now_us: int
) -> None:
    """Let a request's author read; raises OwnRequest for that author."""
    if request.user == approver:
        raise OwnRequest(request.request_id)
    await connection.execute(
        "UPDATE audit.requests SET approved_by = $2, approved_us = $3 WHERE request_id = $1",
        request.request_id,
        approver,
        now_us,
    )


def is_approved(request: ReadRequest, user: int, turn_id: str, now_us: int) -> bool:
    """Return whether this person may read this turn now."""
    mine = request.user == user and request.turn_id == turn_id
    fresh = now_us - request.approved_us < APPROVED_FOR_US
    return mine and request.approved_by is not None and fresh
