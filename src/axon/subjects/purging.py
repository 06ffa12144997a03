"""Every column that holds what a person wrote, or a name they are known by, and how it goes.

What was sealed can be read by nobody once the keys are gone; here its rows go too, and what was
never sealed. Rows made after the erasure belong to somebody who came back, and stay.
"""

from typing import NamedTuple

import asyncpg


class Purge(NamedTuple):
    """One statement about one table, of a person's number and the instant of their erasure."""

    store: str
    """Table and column, as the receipt names it."""
    statement: str
    wants: tuple[str, ...] = ("user", "erased_us")
    """What of the person its parameters are."""


_OF_TURNS = """
EXISTS (SELECT 1 FROM conversations.turns AS t WHERE t.user_id = $1 AND t.id = x.{id}
    AND t.accepted_us <= $2)
"""

PURGES = (
    Purge(
        "conversations.items",
        "DELETE FROM conversations.items WHERE user_id = $1 AND created_us <= $2",
    ),
    Purge(
        "conversations.cold: conversations in the archive",
        "DELETE FROM conversations.cold WHERE user_id = $1 AND newest_us <= $2",
    ),
    Purge(
        "conversations.turn_events",
        f"DELETE FROM conversations.turn_events AS x WHERE user_id = $1"  # noqa: S608 - ours
        f" AND {_OF_TURNS.format(id='turn_id')}",
    ),
    Purge(
        "conversations.chat_completions",
        f"DELETE FROM conversations.chat_completions AS x WHERE user_id = $1"  # noqa: S608 - ours
        f" AND {_OF_TURNS.format(id='id')}",
    ),
    Purge(
        "conversations.turns: answers",
        "UPDATE conversations.turns SET answer = NULL"
        " WHERE user_id = $1 AND accepted_us <= $2 AND answer IS NOT NULL",
    ),
    Purge(
        "conversations.conversations: titles and metadata",
        "UPDATE conversations.conversations SET title = NULL, metadata = '{}'"
        " WHERE user_id = $1 AND updated_us <= $2 AND (title IS NOT NULL OR metadata <> '{}')",
    ),
    Purge(
        "conversations.changes",
        "DELETE FROM conversations.changes WHERE user_id = $1 AND at_us <= $2",
    ),
    Purge(
        "conversations.idempotency_keys",
        "DELETE FROM conversations.idempotency_keys WHERE user_id = $1 AND at_us <= $2",
    ),
    Purge(
        "feedback.feedback: comments and edits",
        "UPDATE feedback.feedback SET comment = NULL, edited = NULL WHERE user_id = $1"
        " AND at_us <= $2 AND (comment IS NOT NULL OR edited IS NOT NULL)",
    ),
    Purge(
        "audit.turns: requests and content",
        "UPDATE audit.turns SET request = NULL, content = NULL WHERE user_id = $1"
        " AND accepted_us <= $2 AND (request IS NOT NULL OR content IS NOT NULL)",
    ),
    Purge(
        "metering.events: subjects",
        "UPDATE metering.events SET subject = 'erased:' || $1::bigint"
        " WHERE subject = $4 AND org_id = $3 AND received_us <= $2 AND $4 <> ''",
        wants=("user", "erased_us", "org_id", "name"),
    ),
    Purge(
        "accounts.users: names",
        "UPDATE accounts.users SET name = 'erased:' || $1::bigint WHERE id = $1 AND org_id = $3"
        " AND created_us <= $2 AND name <> 'erased:' || $1::bigint",
        wants=("user", "erased_us", "org_id"),
    ),
    Purge(
        "accounts.credentials: names",
        "UPDATE accounts.credentials SET name = 'erased' WHERE user_id = $1 AND org_id = $3"
        " AND created_us <= $2 AND name <> 'erased'",
        wants=("user", "erased_us", "org_id"),
    ),
)

KEPT = {
    "metering.turns, metering.usage": "what was used and charged, under a number",
    "flags.assignments": "which variants the number was given",
    "limits.counts": "how much of a limit the number has used",
    "feedback.feedback: ratings": "that an answer was good or bad, under the number",
    "metering.events: data": "measures that the organization sent, and its invoices stand on",
}
"""What stays, and as what: nobody's name is in it."""


class Person(NamedTuple):
    """Who is to be forgotten."""

    org_id: str
    user: int
    name: str
    """By which the organization calls them; empty when nobody said."""
    erased_us: int


async def purge(connection: asyncpg.Connection, person: Person) -> dict[str, int]:
    """Take a person's rows away within the open transaction; return how many of each table."""
    counts = {}
    for one in PURGES:
        done = await connection.execute(
            one.statement, *(getattr(person, name) for name in one.wants)
        )
        counts[one.store] = int(done.rpartition(" ")[2])
    await connection.execute(
        "UPDATE conversations.feeds SET expired_through = position WHERE user_id = $1", person.user
    )
    return counts
