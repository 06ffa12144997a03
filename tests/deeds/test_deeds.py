"""Whatever changes power or configuration leaves a deed, whoever changes it and however."""

import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from axon.accounts import AccountsAdmin, Cells, NewKey
from axon.alerts import AdminParts, AlertsAdmin
from axon.base import MIB, SystemClock, SystemRandomness
from axon.billing import Billing
from axon.deeds import Actor, Deed, DeedsJournaling, DeedsProjector, actor_text, read_deeds
from axon.journal import Journal, JournalOptions
from axon.limits import LimitsAdmin, Rule, Tier
from axon.metering import Price, Prices, Rates
from axon.projection import Positioned
from axon.records import AdminAction, TokenUsage, decode
from axon.sealing import Keyring
from axon.sealing.kek_copy import note_begun, note_ended
from axon.stores import Postgres, PostgresOptions
from tests.alerts.receiver import LOOPBACK
from tests.billing.scene import PRICE, SetClock
from tests.billing.scene import Journal as Turns
from tests.journal.journals import SMALL, Opened, read_all
from tests.metering.scene import ORG

COMMAND = Actor(origin="command", name="carl", place="tower")
ROUTE = Actor(origin="api", place="192.0.2.7", org_id="org_9", user=9, credential_id="key_9")
CLOCK, RANDOMNESS = SystemClock(), SystemRandomness()
RULE = Rule(rule_id="few", measure="tokens", period="day", amount=5)
ROOMY: JournalOptions = dataclasses.replace(
    SMALL, segment_bytes=MIB, entry_bytes_max=MIB // 4, queue_bytes_max=MIB
)


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    """Connections of a command that somebody gave."""
    pool = Postgres(database, PostgresOptions(actor=actor_text(COMMAND)))
    await pool.start()
    yield pool
    await pool.stop()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = Opened().open(tmp_path / "journal", ROOMY)
    yield opened
    await opened.close()


async def deeds(postgres: Postgres, org_id: str | None = None) -> list[Deed]:
    """Return the deeds, the oldest first."""
    async with postgres.connection(10.0) as connection:
        return (await read_deeds(connection, org_id, None, 1000))[::-1]


def told(deed: Deed) -> tuple[str, object, object]:
    return deed.action, json.loads(deed.was or "null"), json.loads(deed.became or "null")


async def test_keys_users_and_organizations_leave_deeds_without_secrets_and_names(
    postgres: Postgres, keyring: Keyring
) -> None:
    admin = AccountsAdmin(postgres, keyring, CLOCK, RANDOMNESS)
    org = await admin.create_org("acme", "gold")
    user = await admin.create_user(org.org_id, "olivia@example.com", ["auditor"])
    made = await admin.create_key(NewKey(org_id=org.org_id, user=user.user, name="olivia's laptop"))
    await admin.revoke_key(made.key.credential_id)
    await admin.revoke_key(made.key.credential_id)
    found = await deeds(postgres, org.org_id)
    assert [one.action for one in found] == [
        "organization.created", "user.created", "key.created", "key.revoked",
    ]  # fmt: skip
    assert [one.object for one in found] == [
        org.org_id, f"{user.user:016x}", made.key.credential_id, made.key.credential_id,
    ]  # fmt: skip
    assert json.loads(found[1].became)["permissions"] == ["auditor"]
    was, became = json.loads(found[3].was), json.loads(found[3].became)
    assert was == {"revoked_us": 0} and became["revoked_us"] > 0 and list(became) == ["revoked_us"]
    assert all(one.actor == COMMAND for one in found)
    everything = str(found)
    last = f'"{made.secret[-4:]}"'  # as a member of JSON: any number may have such digits
    for hidden in ("olivia", "laptop", made.secret, last, "mac", "hint"):
        assert hidden not in everything.replace(made.key.credential_id, ""), hidden


async def test_where_a_person_is_kept_leaves_a_deed(postgres: Postgres, keyring: Keyring) -> None:
    cells = Cells(region="us", base_urls={"eu": "https://eu.example.com/v1"})
    admin = AccountsAdmin(postgres, keyring, CLOCK, RANDOMNESS, cells)
    org = await admin.create_org("acme", "gold")
    await admin.place_user(org.org_id, "olivia@example.com", "eu")
    [*_, placed] = await deeds(postgres, org.org_id)
    assert placed.action == "placement.created" and json.loads(placed.became)["region"] == "eu"
    assert "olivia" not in str(placed)


async def test_limits_tiers_zones_prices_and_webhooks_leave_deeds(
    postgres: Postgres, keyring: Keyring
) -> None:
    limits = LimitsAdmin(postgres)
    await limits.set_tier(Tier(name="trial", description="a month", share=0))
    await limits.set_rule(RULE)
    await limits.by(ROUTE).set_rule(msgspec.structs.replace(RULE, amount=7))
    await limits.set_rule(msgspec.structs.replace(RULE, amount=7))  # which changes nothing
    await limits.by(ROUTE).remove_rule("few")
    await limits.set_time_zone("org_1", "Europe/Madrid")
    changed = list(await deeds(postgres))
    assert [(one.action, one.object) for one in changed] == [
        ("tier.created", "trial"), ("limit.created", "few"), ("limit.changed", "few"),
        ("limit.removed", "few"), ("time_zone.created", "org_1"),
    ]  # fmt: skip
    assert told(changed[2]) == ("limit.changed", {"amount": 5}, {"amount": 7})
    assert [one.actor for one in changed] == [COMMAND, COMMAND, ROUTE, ROUTE, COMMAND]
    assert changed[3].became == "" and json.loads(changed[3].was)["amount"] == 7
    price = Price(
        price_id="", org_id="org_1", model="small", effective_from_us=1, currency="USD",
        rates=Rates(input=1, output=2), source="a list", version=0,
    )  # fmt: skip
    await Prices(postgres, CLOCK, RANDOMNESS).set_all([price])
    parts = AdminParts(
        postgres=postgres, keyring=keyring, clock=CLOCK, randomness=RANDOMNESS, allowed=LOOPBACK
    )
    alerts = AlertsAdmin(parts)
    made = await alerts.add_endpoint("https://127.0.0.1:9/?token=hidden", "org_1", ROUTE)
    await alerts.remove_endpoint(made.endpoint_id)
    rest = (await deeds(postgres, "org_1"))[1:]
    assert [one.action for one in rest] == ["price.created", "webhook.created", "webhook.changed"]
    assert [one.actor for one in rest] == [COMMAND, ROUTE, COMMAND]
    assert "hidden" not in str(rest) and "secret" not in str(rest)


async def test_what_an_organization_is_asked_to_pay_leaves_deeds(
    database: str, postgres: Postgres
) -> None:
    billing = Billing(postgres, SetClock("2026-12-15T12:00"), RANDOMNESS)
    journal = Turns(database, [PRICE])
    journal.turn("2026-10-05", usage=TokenUsage(input_tokens=10_000_000))
    await journal.project()
    await billing.draft("2026-10", ORG)
    assert await deeds(postgres) == [], "a draft is asked of nobody"
    ((invoice,),) = [done.invoices for done in await billing.close("2026-10", ORG)]
    await billing.void(invoice.name, "wrong price")
    ((again,),) = [done.invoices for done in await billing.close("2026-10", ORG)]
    await billing.credit(again.name, 1, "a penny", "one")
    found = await deeds(postgres)
    assert [one.action for one in found] == [
        "close.created", "invoice.changed", "invoice.changed", "close.changed",
        "close.created", "invoice.changed", "credit_note.created",
    ]  # fmt: skip
    assert told(found[1])[2] == {
        "state": "final", "number": 1, "close_id": found[0].object, "final_us": invoice.made_us
    }  # fmt: skip
    assert json.loads(found[2].became)["void_reason"] == "wrong price"
    assert json.loads(found[6].became)["invoice_id"] == again.invoice_id
    assert all(one.actor == COMMAND for one in found)


async def test_rotating_and_destroying_keys_leaves_deeds(postgres: Postgres) -> None:
    async with postgres.connection(10.0) as connection:
        await note_begun(connection, "kek", "org_1", 5)
        await note_ended(connection, "kek", "org_1", 9)
        await connection.execute("INSERT INTO sealing.org_erasures VALUES ('org_2', 7)")
    assert [(one.action, one.org_id, one.actor) for one in await deeds(postgres)] == [
        ("rotation.created", "org_1", COMMAND),
        ("rotation.changed", "org_1", COMMAND),
        ("destruction.created", "org_2", COMMAND),
    ]


async def test_a_statement_of_a_persons_own_leaves_a_deed_and_one_undone_leaves_none(
    database: str, postgres: Postgres
) -> None:
    connection = await asyncpg.connect(database)
    change = "INSERT INTO limits.time_zones VALUES ('org_1', 'UTC')"
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(change)
    await transaction.rollback()
    assert await deeds(postgres) == []
    await connection.execute(change)
    (found,) = await deeds(postgres)
    assert found.actor.origin == "database" and found.actor.name
    assert found.actor.name == await connection.fetchval("SELECT session_user")
    await connection.close()


async def test_each_deed_becomes_one_record_and_comes_back_from_it(
    postgres: Postgres, journal: Journal, tmp_path: Path
) -> None:
    limits = LimitsAdmin(postgres)
    await limits.set_rule(RULE)
    await limits.by(ROUTE).remove_rule("few")
    before = await deeds(postgres)
    journaling = DeedsJournaling(postgres, journal)
    assert [await journaling.journal(), await journaling.journal()] == [2, 0]
    entries = read_all(tmp_path / "journal")
    records = [decode(entry.kind, entry.payload) for entry in entries]
    assert [one.action for one in records if isinstance(one, AdminAction)] == [
        "limit.created", "limit.removed",
    ]  # fmt: skip
    positioned = [
        Positioned(instance="a", sequence=number, record=record)
        for number, record in enumerate(records, 1)
    ]
    for lost in (False, True):
        async with postgres.connection(10.0) as connection, connection.transaction():
            if lost:
                await connection.execute("DELETE FROM deeds.deeds")
            await DeedsProjector().apply(connection, positioned)
        assert await deeds(postgres) == before
    assert await journaling.journal() == 0, "what came from a journal is in one"


async def test_a_deed_waits_for_a_journal_that_takes_nothing(
    postgres: Postgres, tmp_path: Path
) -> None:
    closed = Opened().open(tmp_path / "closed", ROOMY)
    await LimitsAdmin(postgres).set_rule(RULE)
    await closed.close()
    with pytest.raises(Exception, match=r".") as failed:
        await DeedsJournaling(postgres, closed).journal()
    assert type(failed.value).__module__.startswith("axon.journal")
    async with postgres.connection(10.0) as connection:
        waiting = "SELECT count(*) FROM deeds.deeds WHERE NOT journaled"
        assert await connection.fetchval(waiting) == 1
