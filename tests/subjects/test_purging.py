"""No column is forgotten when a person is, and what comes back goes again."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from axon.base import SystemClock
from axon.stores import Postgres
from axon.subjects import PurgeAgain
from axon.subjects.purging import KEPT, PURGES, Person, purge

ORG, ADA, BOB = "org_1", 7, 8
EARLIER_US, ERASED_US, LATER_US = 1_000, 2_000, 3_000

WITHOUT_CONTENT = {
    "accounts.credentials": "its keyed hash is of the key, not of the person; the name goes",
    "accounts.homes": "in which region a number is kept: forgotten here, they are still not let in",
    "accounts.users": "permissions; the name goes",
    "alerts.attempts": "of webhooks",
    "alerts.raised": "of organizations, about numbers",
    "audit.accesses": "who read: the reason is the auditor's",
    "audit.holds": "an erasure waits for their end",
    "audit.requests": "the reason is the auditor's",
    "billing.billed_corrections": "money under a number",
    "conversations.feeds": "a position",
    "conversations.leases": "who runs a turn, for some seconds",
    "conversations.places": "ids and instants",
    "experiments.history": "who changed experiments, by number",
    "flags.assignments": "which variants the number was given",
    "flags.changes": "who changed flags, by number",
    "limits.rules": "limits of a number",
    "metering.corrections": "money under a number",
    "metering.late_turns": "ids on their way to the usage stream",
    "metering.turns": "money under a number",
    "metering.usage": "sums under a number",
    "metering.usage_months": "sums under a number",
    "metering.usage_quarters": "sums under a number",
    "sealing.data_keys": "destroyed by the key store",
    "sealing.renewals": "since when a number has new keys",
    "sealing.erasures": "the tombstones themselves",
    "subjects.purged": "whose rows are gone",
    "subjects.receipts": "that and why, by number",
    "training.consents": "a no under a number, which erasing makes of whatever was said",
}
"""Tables that know persons, and why no statement of ours touches all of them."""

_OF_PERSONS = """
SELECT DISTINCT table_schema || '.' || table_name FROM information_schema.columns
WHERE column_name = ANY($1) AND table_schema NOT IN ('pg_catalog', 'information_schema')
"""


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database)
    yield opened
    await opened.close()


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


async def test_every_table_that_knows_persons_is_purged_or_said_to_be_kept(
    connection: asyncpg.Connection,
) -> None:
    """A new table fails here, until somebody decides what becomes of it."""
    rows = await connection.fetch(_OF_PERSONS, ["user_id", "subject", "email", "name_of_user"])
    tables = {row[0] for row in rows} - {"accounts.granted"}
    purged = {one.store.partition(":")[0] for one in PURGES}
    unknown = tables - purged - WITHOUT_CONTENT.keys()
    assert unknown == set()
    named = {name.strip() for names in KEPT for name in names.partition(":")[0].split(",")}
    assert {name for name in named if await exists(connection, name)} == named


async def exists(connection: asyncpg.Connection, table: str) -> bool:
    found: bool = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
    return found


async def fill(connection: asyncpg.Connection, user: int, at_us: int) -> None:
    """Put rows of a person, made at an instant, into every table that is purged."""
    turn, conversation = f"resp_{user}_{at_us}", f"conv_{user}_{at_us}"
    await connection.execute(
        "INSERT INTO conversations.conversations (user_id, id, org_id, created_us, updated_us,"
        " head_sequence, head_fence, metadata, title, implicit)"
        " VALUES ($1, $2, 'org_1', $3, $3, 1, 1, '{\"a\": \"b\"}', 'sealed', false)",
        user, conversation, at_us,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO conversations.turns VALUES ($1, $2, 'org_1', $3, 1, 'key', 'responses', 'm',"
        " 'completed', '', true, 'sealed', 1, 0, 1, 0, 'u', $4, $4, $4)",
        user, turn, conversation, at_us,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO conversations.items VALUES ($1, $2, 1, 0, 'msg', $3, false, 'message',"
        " 'user', 'completed', 1, 'sealed', $4)",
        user, conversation, turn, at_us,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO conversations.cold VALUES ($1, $2, 'o', 0, 1, 'sum', 1, $3, $3)",
        user, conversation, at_us,
    )  # fmt: skip
    for statement in (
        "INSERT INTO conversations.turn_events VALUES ($1, $2, 'c', 'sealed')",
        "INSERT INTO conversations.chat_completions VALUES ($1, $2, 'm', '{}', 'sealed')",
    ):
        await connection.execute(statement, user, turn)
    await connection.execute(
        "INSERT INTO conversations.changes VALUES ($1, $2, $2, 'c', 1, 'k', 't', '{}')", user, at_us
    )
    await connection.execute(
        "INSERT INTO conversations.idempotency_keys VALUES ($1, $2, 'b', 'o', $3)",
        user, turn.encode(), at_us,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO feedback.feedback VALUES ($1, $2, 'org_1', 'f', 'key', $3, 'up', 's', 's', '',"
        " false)",
        user, turn, at_us,
    )  # fmt: skip
    await connection.execute("SELECT audit.add_month($1)", at_us)
    await connection.execute(
        "INSERT INTO audit.turns (user_id, turn_id, org_id, credential_id, conversation_id,"
        " surface, model, variant_model, safety, variants, accepted_us, request, content, instance)"
        " VALUES ($1, $2, 'org_1', 'key', 'c', 'responses', 'm', '', '', '{}', $3, 's', 's', 'i')",
        user, turn, at_us,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO metering.events VALUES ('org_1', 's', $1, 't', $2, 0, $3, false, NULL, 'k',"
        " 'i', 1)",
        turn, f"name-{user}", at_us,
    )  # fmt: skip


async def fill_accounts(connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO accounts.orgs VALUES ('org_1', 'o', 't', 'r', 0)")
    for user in (ADA, BOB):
        await connection.execute(
            "INSERT INTO accounts.users VALUES ($1, 'org_1', $2, '{}', 0)", user, f"name-{user}"
        )
        await connection.execute(
            "INSERT INTO accounts.credentials VALUES ($1, $2, 'org_1', $3, 'of ada', 'hint', false,"
            " 0, 0, 0, $3)",
            f"key_{user}", f"{user}".encode(), user,
        )  # fmt: skip


async def test_everything_of_one_person_goes_and_nothing_else(
    connection: asyncpg.Connection,
) -> None:
    await fill_accounts(connection)
    for user in (ADA, BOB):
        for at_us in (EARLIER_US, LATER_US):
            await fill(connection, user, at_us)
    ada = Person(ORG, ADA, f"name-{ADA}", ERASED_US)
    counts = await purge(connection, ada)
    assert set(counts.values()) == {1}, counts
    assert set((await purge(connection, ada)).values()) == {0}, "there is no more"
    later = await purge(connection, ada._replace(erased_us=LATER_US))
    of_accounts = {store for store in counts if store.startswith("accounts.")}
    assert {store for store, count in later.items() if count == 1} == counts.keys() - of_accounts
    bob = Person(ORG, BOB, f"name-{BOB}", LATER_US)
    assert {count for store, count in (await purge(connection, bob)).items() if count != 2} == {1}


async def test_rows_that_a_backup_brings_back_go_again(
    connection: asyncpg.Connection, postgres: Postgres
) -> None:
    """The tombstone outlives the restored tables: it is in the room that no restore drops."""
    await fill(connection, ADA, EARLIER_US)
    await fill(connection, BOB, EARLIER_US)
    await connection.execute("INSERT INTO sealing.erasures VALUES ('org_1', 7, 2000)")
    again = PurgeAgain(postgres, SystemClock())
    await again.look()
    left = await connection.fetch("SELECT DISTINCT user_id FROM conversations.items")
    assert [row[0] for row in left] == [BOB]
    await connection.execute("UPDATE audit.turns SET content = 'back' WHERE user_id = 7")
    await again.look()
    assert await connection.fetchval("SELECT content FROM audit.turns WHERE user_id = 7") == b"back"
    await connection.execute("DELETE FROM subjects.purged")  # as in a backup from before
    await again.look()
    assert await connection.fetchval("SELECT content FROM audit.turns WHERE user_id = 7") is None
