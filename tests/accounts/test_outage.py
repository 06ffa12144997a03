import asyncio

import asyncpg
import pytest

from axon.accounts import Accounts, AccountsUnavailable, InvalidCredential
from axon.app.embedded import EmbeddedServer
from axon.stores import PostgresAway
from axon.telemetry.metrics import registry
from tests.accounts.scene import STALENESS_S, Office, Scene, bearer, until

UNKNOWN = b"Bearer sk-axon-nobody-has-ever-seen-this-one"


def take_away(server: EmbeddedServer, how: str) -> None:
    if how == "killed":
        server.kill()
    else:
        server.freeze()


@pytest.mark.failure("postgresql", "down")
@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_running_process_goes_on_with_what_it_knows(
    scene: Scene, office: Office, postgres_server: EmbeddedServer, how: str
) -> None:
    remembered, unused = await office.key(), await office.key()
    revoked = await office.key()
    await office.admin.revoke_key(revoked.key.credential_id)
    accounts = await scene.process()
    await accounts.verify(bearer(remembered.secret))
    take_away(postgres_server, how)
    assert not await accounts.refresh()
    assert accounts.known(bearer(remembered.secret))
    await accounts.verify(bearer(unused.secret))
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(revoked.secret))
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(UNKNOWN)


async def test_what_it_knows_counts_for_a_bounded_time(
    scene: Scene, office: Office, postgres_server: EmbeddedServer
) -> None:
    created = await office.key()
    accounts = await scene.process()
    await accounts.verify(bearer(created.secret))
    postgres_server.kill()
    scene.clock.turn(STALENESS_S)
    await accounts.refresh()
    assert accounts.known(bearer(created.secret))
    assert (registry.get_sample_value("axon_accounts_age_seconds") or 0) >= STALENESS_S
    scene.clock.turn(1.0)
    await accounts.refresh()
    assert accounts.known(bearer(created.secret)) is None
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(bearer(created.secret))


@pytest.mark.failure("postgresql", "at-start")
@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_process_starts_and_serves_from_the_snapshot(
    scene: Scene, office: Office, postgres_server: EmbeddedServer, how: str
) -> None:
    created = await office.key()
    revoked = await office.key()
    await office.admin.revoke_key(revoked.key.credential_id)
    await scene.process()
    await scene.close()
    take_away(postgres_server, how)
    scene.clock.turn(STALENESS_S / 2)
    accounts = await scene.process()
    assert (await accounts.verify(bearer(created.secret))).user == office.user.user
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(revoked.secret))
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(UNKNOWN)


@pytest.mark.failure("snapshot", "lying")
@pytest.mark.parametrize("seconds", [STALENESS_S + 1, -STALENESS_S - 1])
async def test_a_snapshot_too_old_or_from_the_future_serves_nobody(
    scene: Scene, office: Office, postgres_server: EmbeddedServer, seconds: float
) -> None:
    created = await office.key()
    await scene.process()
    await scene.close()
    postgres_server.kill()
    scene.clock.turn(seconds)
    accounts = await scene.process()
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(bearer(created.secret))


async def test_the_age_of_a_snapshot_goes_on_in_the_process_that_read_it(
    scene: Scene, office: Office, postgres_server: EmbeddedServer
) -> None:
    created = await office.key()
    await scene.process()
    await scene.close()
    postgres_server.kill()
    scene.clock.turn(STALENESS_S / 2)
    accounts = await scene.process()
    await accounts.verify(bearer(created.secret))
    scene.clock.turn(STALENESS_S / 2 + 1)
    await accounts.refresh()
    assert accounts.known(bearer(created.secret)) is None
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(bearer(created.secret))


@pytest.mark.failure("snapshot", "wiped")
async def test_without_snapshot_and_postgresql_a_process_starts_and_says_try_again(
    scene: Scene, office: Office, postgres_server: EmbeddedServer
) -> None:
    created = await office.key()
    postgres_server.kill()
    accounts = await scene.process()
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(bearer(created.secret))
    with pytest.raises(InvalidCredential):
        await accounts.verify(b"Bearer not-ours-whatever-postgresql-says")


async def test_it_catches_up_when_postgresql_is_back(
    scene: Scene, office: Office, postgres_server: EmbeddedServer
) -> None:
    created = await office.key()
    accounts = await scene.process()
    await accounts.verify(bearer(created.secret))
    postgres_server.kill()
    assert not await accounts.refresh()
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(UNKNOWN)
    with pytest.raises(PostgresAway):
        await office.admin.revoke_key(created.key.credential_id)
    postgres_server.ensure()
    [(postgres, _)] = scene.opened
    await until(lambda: postgres.available and office.postgres.available)
    await office.admin.revoke_key(created.key.credential_id)
    assert await accounts.refresh()
    for authorization in (UNKNOWN, bearer(created.secret)):
        with pytest.raises(InvalidCredential):
            await accounts.verify(authorization)


async def test_a_stale_process_asks_postgresql_once_it_is_back_and_remembers_after_a_poll(
    scene: Scene, office: Office
) -> None:
    created = await office.key()
    accounts = await scene.process()
    scene.clock.turn(STALENESS_S + 1)
    await accounts.verify(bearer(created.secret))
    assert accounts.known(bearer(created.secret)) is None
    await accounts.refresh()
    await accounts.verify(bearer(created.secret))
    assert accounts.known(bearer(created.secret))


@pytest.mark.failure("postgresql", "wiped")
async def test_a_database_without_the_tables_is_an_outage_and_no_refusal(
    scene: Scene, office: Office
) -> None:
    accounts = await scene.process()
    connection = await asyncpg.connect(scene.database)
    await connection.execute("ALTER SCHEMA accounts RENAME TO elsewhere")
    await connection.close()
    assert not await accounts.refresh()
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(UNKNOWN)


async def test_who_waits_when_a_process_stops_is_told_to_try_again(
    scene: Scene, postgres_server: EmbeddedServer
) -> None:
    accounts = await scene.process()
    postgres_server.freeze()
    waiting = [verification(accounts) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in waiting]
        await until(lambda: len(accounts._tasks) == 2)
        await accounts.stop()
    assert [task.result() for task in tasks] == ["unavailable"] * 3


async def verification(accounts: Accounts) -> str:
    try:
        await accounts.verify(UNKNOWN)
    except AccountsUnavailable:
        return "unavailable"
    return "verified"


@pytest.mark.failure("postgresql", "wiped")
async def test_an_emptied_database_locks_nobody_out(scene: Scene, office: Office) -> None:
    """All keys gone at once is a loss, and no revocation: it is 503 for strangers, never 401."""
    created = await office.key()
    accounts = await scene.process()
    await accounts.verify(bearer(created.secret))
    connection = await asyncpg.connect(scene.database)
    await connection.execute("TRUNCATE accounts.credentials, accounts.version")
    await connection.close()
    assert not await accounts.refresh()
    assert accounts.snapshot_trouble
    await accounts.verify(bearer(created.secret))
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(UNKNOWN)
    await accounts.stop()
    again = await scene.process()
    await again.verify(bearer(created.secret))
