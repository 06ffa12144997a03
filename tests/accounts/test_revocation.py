import dataclasses
from functools import partial

import asyncpg
import pytest

from axon.accounts import Accounts, AccountsOptions, InvalidCredential
from axon.accounts.store import CHANGES_PAGE
from tests.accounts.scene import Office, Scene, bearer, queries, until

PROMISED_MS = 1000


async def test_one_poll_makes_a_revocation_count_in_every_process(
    scene: Scene, office: Office
) -> None:
    created = await office.key()
    processes = [await scene.process(), await scene.process(scene.options("other.json"))]
    for accounts in processes:
        await accounts.verify(bearer(created.secret))
    await office.admin.revoke_key(created.key.credential_id)
    for accounts in processes:
        assert accounts.known(bearer(created.secret))
        assert await accounts.refresh()
        assert accounts.known(bearer(created.secret)) is None
        before = queries()
        with pytest.raises(InvalidCredential):
            await accounts.verify(bearer(created.secret))
        assert queries() == before, "a revoked key is remembered as such"


async def test_running_processes_poll_by_themselves(scene: Scene, office: Office) -> None:
    created = await office.key()
    options = dataclasses.replace(scene.options(), poll_every_ms=10)
    processes = [await scene.process(options), await scene.process(options)]
    for accounts in processes:
        await accounts.verify(bearer(created.secret))
    await office.admin.revoke_key(created.key.credential_id)
    for accounts in processes:
        await until(partial(is_forgotten, accounts, bearer(created.secret)))
        with pytest.raises(InvalidCredential):
            await accounts.verify(bearer(created.secret))


def is_forgotten(accounts: Accounts, authorization: bytes) -> bool:
    return accounts.known(authorization) is None


def test_the_poll_leaves_a_second_room_enough(scene: Scene) -> None:
    options = AccountsOptions(snapshot_path=scene.folder / "a.json", staleness_max_s=1)
    assert options.poll_every_ms * 2 < PROMISED_MS


async def test_a_revocation_wins_over_a_look_up_that_read_before_it(
    scene: Scene, office: Office
) -> None:
    """The look-up's row is put after the poll has brought the newer one."""
    created = await office.key()
    accounts = await scene.process()
    old = accounts._replica.find(created.key.credential_id)
    assert old is not None
    await office.admin.revoke_key(created.key.credential_id)
    await accounts.refresh()
    assert accounts._replica.put(old).revoked_us > 0
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(created.secret))


async def test_more_changes_than_a_page_arrive_in_one_refresh(scene: Scene, office: Office) -> None:
    accounts = await scene.process(scene.options(cache_max=CHANGES_PAGE * 3))
    first, last = await office.key(), await office.key()
    connection = await asyncpg.connect(scene.database)
    await connection.execute(
        "WITH made AS (INSERT INTO accounts.credentials SELECT 'key_' || n, n::text::bytea,"
        " org_id, user_id, name, hint, false, 1, 0, 0, version + n"
        " FROM accounts.credentials, generate_series(2, $2::int) n WHERE id = $1 RETURNING version)"
        " UPDATE accounts.version SET number = (SELECT max(version) FROM made)",
        first.key.credential_id,
        2 * CHANGES_PAGE + 1,
    )
    await connection.close()
    await office.admin.revoke_key(first.key.credential_id)
    await accounts.refresh()
    before = queries()
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(first.secret))
    await accounts.verify(bearer(last.secret))
    assert queries() == before


@pytest.mark.failure("postgresql", "lying")
async def test_a_database_set_back_to_a_backup_is_read_anew(scene: Scene, office: Office) -> None:
    kept, gone = await office.key(), await office.key()
    accounts = await scene.process()
    await accounts.verify(bearer(gone.secret))
    connection = await asyncpg.connect(scene.database)
    await connection.execute(
        "DELETE FROM accounts.credentials WHERE id = $1", gone.key.credential_id
    )
    await connection.execute("UPDATE accounts.version SET number = 1")
    await connection.close()
    await accounts.refresh()
    assert accounts.known(bearer(gone.secret)) is None
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(gone.secret))
    await accounts.verify(bearer(kept.secret))


async def test_a_poll_that_fails_for_a_bug_makes_every_request_ask_postgresql(
    scene: Scene, office: Office
) -> None:
    """Nothing would tell of revocations any more, so nothing remembered may be believed."""
    created = await office.key()
    options = dataclasses.replace(scene.options(), poll_every_ms=1)
    accounts = await scene.process(options)
    await accounts.verify(bearer(created.secret))
    connection = await asyncpg.connect(scene.database)
    await connection.execute("ALTER TABLE accounts.version ALTER number DROP NOT NULL")
    await connection.execute("UPDATE accounts.version SET number = NULL")
    await connection.close()
    await until(lambda: accounts.known(bearer(created.secret)) is None)
    before = queries()
    await accounts.verify(bearer(created.secret))
    await accounts.verify(bearer(created.secret))
    assert queries() == before + 2
