"""Backups of a real database: made whole or not at all, restored whole or not at all."""

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner, Result

from axon.accounts import (
    Accounts,
    AccountsAdmin,
    AccountsOptions,
    InvalidCredential,
    NewKey,
)
from axon.app.backup import Allowed, database_to_replace, make_backup, restore_content
from axon.app.backup.errors import (
    BackupNewer,
    BackupNotWritten,
    DatabaseAway,
    DatabaseInUse,
    DatabaseNotEmpty,
    KeyringDiffers,
    SchemaDiffers,
)
from axon.app.backup.schema import make_tables
from axon.app.cli.main import axon
from axon.app.keyring_backup import BackupExists, NoKeyring
from axon.base import SystemRandomness
from axon.journal import Journal, JournalLocked, read_cursor
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions
from tests.app.backup_scene import (
    NOTHING_ALLOWED,
    Scene,
    places,
    quiet,
    records,
)

REPLACE = Allowed(replace=True, accept_loss=False)


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return Scene.at(tmp_path, database)


async def test_what_the_backup_lacks_comes_from_the_journal(scene: Scene) -> None:
    await scene.write(records(1, 5))
    await scene.project()
    backup = await scene.back_up()
    await scene.write(records(6, 9))
    await scene.project()

    await scene.restore(backup, REPLACE)
    assert await scene.items() == places(1, 5)
    assert read_cursor(scene.journal) == 5
    restored = "SELECT actor::json ->> 'origin', action, object FROM deeds.deeds"
    assert await scene.query(restored) == [("command", "content.restored", backup.name)]
    assert await scene.project() == 0
    assert await scene.items() == places(1, 9)
    assert read_cursor(scene.journal) == 9


async def test_every_table_comes_back_as_it_was(scene: Scene) -> None:
    await scene.write(records(1, 3))
    await scene.project()
    await scene.query(
        "INSERT INTO projection.parked (room, instance, sequence, conversation_id, kind, payload,"
        " state, error) VALUES ('r', 'i', 1, '', 4, '\\x00ff', 'failed', 'why')"
    )
    await scene.query("INSERT INTO accounts.orgs VALUES ('org_1', 'acme', 'free', 'eu', 1)")
    await scene.query("INSERT INTO accounts.users VALUES (7, 'org_1', 'ada', '{admin,x}', 1)")
    for month, turn_id in enumerate(("resp_january", "resp_february")):
        at_us = month * 31 * 86_400_000_000
        await scene.query(f"SELECT audit.add_month({at_us})")
        await scene.query(
            "INSERT INTO audit.turns (user_id, turn_id, org_id, credential_id, conversation_id,"
            " surface, model, variant_model, safety, variants, accepted_us, instance)"
            f" VALUES (7, '{turn_id}', 'org_1', 'k', 'c', 's', 'm', '', '', '{{}}', {at_us}, 'i')"
        )
    tables = [
        "audit.turns", "audit.months", "audit.turns_1970_02", "conversations.conversations",
        "conversations.items", "conversations.places", "conversations.changes",
        "conversations.feeds", "projection.parked", "projection.cursors",
        "accounts.orgs", "accounts.users", "accounts.version",
    ]  # fmt: skip
    before = {name: await scene.query(f"SELECT * FROM {name} ORDER BY 1") for name in tables}
    assert all(before.values())
    backup = await scene.back_up()
    await scene.restore(backup, REPLACE)
    after = {name: await scene.query(f"SELECT * FROM {name} ORDER BY 1") for name in tables}
    assert after == before
    # A number that an identity column gives out again would be a second row of that number.
    parked = await scene.query(
        "INSERT INTO projection.parked (room, instance, sequence, conversation_id, kind, payload,"
        " state, error) VALUES ('r', 'i', 2, '', 4, '', 'failed', '') RETURNING place"
    )
    assert parked == [(2,)]


async def test_what_was_invoiced_comes_back_and_stays_as_it_is(scene: Scene) -> None:
    await scene.write(records(1, 3))
    await scene.project()
    await scene.query(
        "INSERT INTO billing.closes VALUES ('close_1', 'org_1', '2026-10', 'UTC', 1, 2, 3)"
    )
    await scene.query(
        "INSERT INTO billing.invoices VALUES ('inv_1', NULL, 'org_1', 'acme', '2026-10', 'UTC', 1,"
        " 2, 'USD', 'draft', 5, 0, 3)"
    )
    await scene.query(
        "INSERT INTO billing.lines VALUES ('inv_1', 1, 'usage', '2026-10', 'm', 'price_1', 0,"
        " 'input', 1, 5, 5)"
    )
    await scene.query(
        "UPDATE billing.invoices SET state = 'final', number = 1, close_id = 'close_1'"
    )
    tables = ["billing.numbers", "billing.closes", "billing.invoices", "billing.lines"]
    before = {name: await scene.query(f"SELECT * FROM {name} ORDER BY 1") for name in tables}
    assert all(before.values())
    backup = await scene.back_up()
    await scene.restore(backup, REPLACE)
    after = {name: await scene.query(f"SELECT * FROM {name} ORDER BY 1") for name in tables}
    assert after == before
    with pytest.raises(asyncpg.RaiseError, match="issued invoice"):
        await scene.query("UPDATE billing.lines SET amount_nano = 6")


async def test_a_backup_is_one_snapshot_however_much_happens_meanwhile(scene: Scene) -> None:
    await scene.write(records(1, 400))
    writing = asyncio.gather(scene.project())
    backup = await scene.back_up()
    await writing
    await scene.restore(backup, REPLACE)
    (has,) = await scene.query("SELECT coalesce(max(sequence), 0) FROM projection.cursors")
    assert await scene.items() == sorted(places(1, int(str(has[0]))))


async def test_into_another_empty_database(scene: Scene, other_database: str) -> None:
    await scene.write(records(1, 3))
    await scene.project()
    backup = await scene.back_up()
    moved = scene.at_database(other_database)
    await moved.restore(backup)
    assert await moved.items() == places(1, 3)
    assert "conversations.items" in moved.told


@pytest.fixture
def other_database(database: str) -> Iterator[str]:
    """A database in which nothing was ever made."""
    name = "test_restored"
    admin = database.replace(database.split("/")[3].split("?", maxsplit=1)[0], "postgres", 1)

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(admin)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f"CREATE DATABASE {name}"))
    yield database.replace(database.split("/")[3].split("?", maxsplit=1)[0], name, 1)
    asyncio.run(run(f"DROP DATABASE {name} WITH (FORCE)"))


async def test_a_database_with_data_is_not_replaced_unasked(scene: Scene) -> None:
    await scene.write(records(1, 3))
    await scene.project()
    backup = await scene.back_up()
    await scene.write(records(4, 4))
    await scene.project()
    with pytest.raises(DatabaseNotEmpty, match=r"conversations\.items"):
        await scene.restore(backup)
    assert await scene.items() == places(1, 4)
    assert read_cursor(scene.journal) == 4


def test_replacing_is_asked_for_and_no_means_no(tmp_path: Path, database: str) -> None:
    scene = Scene.at(tmp_path, database)

    async def prepare() -> Path:
        await scene.write(records(1, 3))
        await scene.project()
        backup = await scene.back_up()
        await scene.query("DELETE FROM conversations.items")
        return backup

    backup = asyncio.run(prepare())
    environment = {"AXON_DATA": str(scene.place.folder.root), "AXON_DATABASE_URL": database}

    def restore(answer: str) -> Result:
        command = ["restore", "--replace", str(backup)]
        return CliRunner().invoke(axon, command, input=answer, env=environment)

    assert restore("n\n").exit_code == 1
    assert asyncio.run(scene.items()) == []
    restored = restore("y\n")
    assert restored.exit_code == 0, restored.output
    assert asyncio.run(scene.items()) == places(1, 3)
    assert "API keys" in restored.output


async def test_a_restore_that_fails_midway_changes_nothing(scene: Scene) -> None:
    await scene.write(records(1, 3))
    await scene.project()
    found = await scene.verify(await scene.back_up())
    await scene.write(records(4, 4))
    await scene.project()
    *others, last = found.manifest.tables
    wrong = msgspec.structs.replace(last, columns=["no_such_column"])
    manifest = msgspec.structs.replace(found.manifest, tables=[*others, wrong])
    with pytest.raises(asyncpg.UndefinedColumnError):
        await restore_content(scene.place, found._replace(manifest=manifest), REPLACE, quiet)
    assert await scene.items() == places(1, 4)


async def test_processes_that_run_are_refused(scene: Scene) -> None:
    await scene.write(records(1, 1))
    await scene.project()
    backup = await scene.back_up()
    other = Postgres(scene.place.database_url)
    await other.start()
    try:
        with pytest.raises(DatabaseInUse):
            await scene.restore(backup, REPLACE)
    finally:
        await other.stop()
    journal: Journal = scene._open()
    try:
        with pytest.raises(JournalLocked), database_to_replace(scene.place.settings):
            pass
    finally:
        await journal.close()


async def test_what_other_memories_hold_is_forgotten(scene: Scene) -> None:
    folder = scene.place.folder
    backup = await scene.back_up()
    folder.valkey_epoch.write_bytes(b"old")
    folder.accounts_snapshot.write_bytes(b"old")
    folder.limits_snapshot.write_bytes(b"old")
    folder.flags_snapshot.write_bytes(b"old")
    folder.prices_snapshot.write_bytes(b"old")
    await scene.restore(backup)
    assert not folder.valkey_epoch.exists()
    assert not folder.accounts_snapshot.exists()
    assert not folder.limits_snapshot.exists()
    assert not folder.flags_snapshot.exists()
    assert not folder.prices_snapshot.exists()


async def test_a_key_revoked_since_the_backup_stays_revoked(scene: Scene) -> None:
    place = scene.place
    keyring = Keyring.open(place.folder.keyring, place.randomness)
    postgres = Postgres(place.database_url, PostgresOptions())
    await postgres.start()
    admin = AccountsAdmin(postgres, keyring, place.clock, place.randomness)
    org = await admin.create_org("acme", "free", "eu")
    user = await admin.create_user(org.org_id, "ada", [])
    new = NewKey(org_id=org.org_id, user=user.user, name="one", expires_us=0, acts_for_users=False)
    lost, kept = await admin.create_key(new), await admin.create_key(new)
    backup = await scene.back_up()
    await admin.revoke_key(lost.key.credential_id)
    known = AccountsOptions(snapshot_path=place.folder.accounts_snapshot, staleness_max_s=60)
    accounts = Accounts(postgres, keyring, place.clock, place.randomness, known)
    await accounts.start()
    await accounts.verify(b"Bearer " + kept.secret.encode())
    with pytest.raises(InvalidCredential):
        await accounts.verify(b"Bearer " + lost.secret.encode())
    await accounts.stop()
    await postgres.stop()

    restored = await scene.restore(backup, REPLACE)
    assert restored.revoked == 1
    found = await scene.query("SELECT id, revoked_us > 0 FROM accounts.credentials ORDER BY 1")
    expected = [(lost.key.credential_id, True), (kept.key.credential_id, False)]
    assert found == sorted(expected)


async def test_a_newer_or_changed_schema_is_refused(scene: Scene) -> None:
    found = await scene.verify(await scene.back_up())
    known = found.manifest.migrations
    newer = {**known, "conversations": {**known["conversations"], "99": "00"}}
    manifest = msgspec.structs.replace(found.manifest, migrations=newer)
    with pytest.raises(BackupNewer, match="conversations 99"):
        await restore_content(
            scene.place, found._replace(manifest=manifest), NOTHING_ALLOWED, quiet
        )
    changed = {**known, "accounts": {"1": "00"}}
    manifest = msgspec.structs.replace(found.manifest, migrations=changed)
    with pytest.raises(SchemaDiffers, match="accounts/0001"):
        await restore_content(
            scene.place, found._replace(manifest=manifest), NOTHING_ALLOWED, quiet
        )


async def test_an_older_schema_is_brought_forward(scene: Scene, other_database: str) -> None:
    present = (await scene.verify(await scene.back_up())).manifest
    known = present.migrations["conversations"]
    newest = max(known, key=int)
    older = {number: checksum for number, checksum in known.items() if number != newest}
    all_rooms = {**present.migrations, "conversations": older}
    old = scene.at_database(other_database)
    async with old.place.connection() as connection, connection.transaction():
        await make_tables(connection, msgspec.structs.replace(present, migrations=all_rooms))
        await connection.execute("INSERT INTO accounts.orgs VALUES ('org_1', 'a', 'b', 'c', 1)")
    backup = await old.back_up("old")
    assert (await scene.verify(backup)).manifest.migrations["conversations"] == older

    await scene.restore(backup, REPLACE)
    assert await scene.query("SELECT name FROM accounts.orgs") == [("a",)]
    applied = await scene.query(
        "SELECT number FROM axon_migrations WHERE room = 'conversations' ORDER BY 1"
    )
    assert applied == [(number,) for number in sorted(map(int, known))]


async def test_the_audit_of_before_its_months_is_brought_into_them(
    scene: Scene, other_database: str
) -> None:
    present = (await scene.verify(await scene.back_up())).manifest
    first = {"1": present.migrations["audit"]["1"]}
    old = scene.at_database(other_database)
    async with old.place.connection() as connection, connection.transaction():
        before = {**present.migrations, "audit": first}
        await make_tables(connection, msgspec.structs.replace(present, migrations=before))
        await connection.execute(
            "INSERT INTO audit.turns (user_id, turn_id, org_id, credential_id, conversation_id,"
            " surface, model, variant_model, safety, variants, accepted_us, instance)"
            " VALUES (7, 'resp_1', 'org_1', 'k', 'c', 's', 'm', '', '', '{}', 86400000000, 'i')"
        )
    await scene.restore(await old.back_up("old"), REPLACE)
    assert await scene.query("SELECT turn_id FROM audit.turns_1970_01") == [("resp_1",)]


async def test_another_keyring_is_refused(scene: Scene) -> None:
    backup = await scene.back_up()
    scene.place.folder.keyring.unlink()
    with pytest.raises(NoKeyring):
        await scene.restore(backup)
    assert not scene.place.folder.keyring.exists()
    Keyring.open(scene.place.folder.keyring, SystemRandomness())
    with pytest.raises(KeyringDiffers):
        await scene.restore(backup)


@contextmanager
def file_size_at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: the disk refuses what comes then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_is_full_leaves_nothing(scene: Scene) -> None:
    await scene.write(records(1, 50))
    await scene.project()
    await scene.place.key_store().close()
    before = sorted(scene.out.iterdir())
    with file_size_at_most(512), pytest.raises(BackupNotWritten):
        await make_backup(scene.place, scene.out / "full", "content", quiet)
    assert sorted(scene.out.iterdir()) == before


async def test_a_backup_is_private_and_never_overwrites(scene: Scene) -> None:
    backup = await scene.back_up()
    assert backup.stat().st_mode & 0o777 == 0o600
    content = backup.read_bytes()
    with pytest.raises(BackupExists):
        await scene.back_up()
    assert backup.read_bytes() == content
    named = await make_backup(scene.place, scene.out, "content", quiet)
    assert named.path.name.startswith("axon-content-")


async def test_without_postgresql_there_is_no_backup(scene: Scene) -> None:
    nowhere = replace(scene.place, database_url="postgresql://axon@/axon?host=/nonexistent")
    with pytest.raises(DatabaseAway):
        await make_backup(nowhere, scene.out / "one", "content", quiet)
    assert not (scene.out / "one").exists()
