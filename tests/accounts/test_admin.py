import asyncio

import asyncpg
import pytest

from axon.accounts import (
    InvalidCredential,
    NameTaken,
    NewKey,
    UnknownAccount,
    UnusableName,
    UnusableSecret,
)
from axon.accounts import admin_store as store
from axon.app.embedded import EmbeddedServer
from axon.base import IdMint, SystemRandomness, user_number
from axon.stores import PostgresAway
from tests.accounts.scene import Office, Scene, bearer


async def test_organizations_are_made_once_and_listed_in_their_order(
    scene: Scene, office: Office
) -> None:
    scene.clock.turn(1.0)
    second = await office.admin.create_org("globex")
    assert (second.tier, second.region) == ("default", "local")
    with pytest.raises(NameTaken, match="globex"):
        await office.admin.create_org("globex")
    first, listed = await office.admin.list_orgs()
    assert first.name == "acme"
    assert listed == second
    assert await office.admin.list_orgs(after=first.org_id) == [second]
    assert second.org_id.startswith("org_")


async def test_users_are_numbered_by_their_name(scene: Scene, office: Office) -> None:
    user = office.user
    assert user.user == user_number(scene.keyring.identity, user.org_id, "alice")
    assert user.permissions == ("auditor",)
    assert await office.admin.list_users(user.org_id) == [user]
    assert await office.admin.list_users(user.org_id, after=user.user) == []
    assert await office.admin.list_users("org_other") == []
    with pytest.raises(NameTaken):
        await office.admin.create_user(user.org_id, "alice")
    with pytest.raises(UnknownAccount):
        await office.admin.create_user("org_other", "alice")


async def test_a_secret_is_shown_once_and_kept_nowhere(scene: Scene, office: Office) -> None:
    created = await office.key()
    assert created.secret.startswith("sk-axon-")
    assert created.secret not in repr(created.key)
    assert created.key.hint == created.secret[-4:]
    connection = await asyncpg.connect(scene.database)
    rows = await connection.fetch("SELECT c::text AS row FROM accounts.credentials c")
    await connection.close()
    assert len(rows) == 1
    assert created.secret.removeprefix("sk-axon-") not in rows[0]["row"]
    assert created.secret.encode().hex() not in rows[0]["row"]


async def test_keys_are_listed_with_those_that_ended(scene: Scene, office: Office) -> None:
    first, second = await office.key(), await office.key(expires_us=1)
    revoked = await office.admin.revoke_key(first.key.credential_id)
    org_id = office.user.org_id
    assert await office.admin.list_keys(org_id) == [revoked, second.key]
    assert await office.admin.list_keys(org_id, after=revoked.credential_id) == [second.key]
    assert await office.admin.list_keys("org_other") == []
    mint = IdMint(scene.keyring.identity, scene.clock, SystemRandomness())
    assert mint.read(second.key.credential_id, "key", org_id).user == office.user.user


async def test_a_list_is_a_page_at_most(office: Office) -> None:
    async with office.postgres.connection(10) as connection:
        await connection.execute(
            "INSERT INTO accounts.orgs SELECT 'org_~' || lpad(n::text, 4, '0'), 'name ' || n,"
            " 't', 'r', 1 FROM generate_series(1, $1::int) n",
            store.LISTED_MAX,
        )
    page = await office.admin.list_orgs()
    assert len(page) == store.LISTED_MAX
    assert len(await office.admin.list_orgs(after=page[-1].org_id)) == 1


async def test_a_key_needs_a_user(office: Office) -> None:
    with pytest.raises(UnknownAccount):
        await office.admin.create_key(NewKey(org_id=office.user.org_id, user=1, name="laptop"))
    assert await office.admin.list_keys(office.user.org_id) == []


async def test_revoking_twice_is_revoking_once(scene: Scene, office: Office) -> None:
    created = await office.key()
    first = await office.admin.revoke_key(created.key.credential_id)
    scene.clock.turn(5.0)
    assert await office.admin.revoke_key(created.key.credential_id) == first
    with pytest.raises(UnknownAccount):
        await office.admin.revoke_key("key_nobody")


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\0b", "\ud800"])
async def test_names_are_short_and_printable(office: Office, name: str) -> None:
    with pytest.raises(UnusableName):
        await office.admin.create_org(name)
    with pytest.raises(UnusableName):
        await office.admin.create_user(office.user.org_id, name)


async def test_a_given_secret_is_registered_as_often_as_one_likes(
    scene: Scene, office: Office
) -> None:
    secret = "sk-axon-development"
    first = await office.admin.register_key(secret, "development", "developer", ["admin"])
    assert await office.admin.register_key(secret, "development", "developer", ["admin"]) == first
    accounts = await scene.process()
    principal = await accounts.verify(bearer(secret))
    assert principal.acts_for_users
    assert principal.permissions == {"admin"}
    assert (principal.org_id, principal.user) == (first.org_id, first.user)


async def test_a_revoked_secret_lives_again_when_it_is_registered_again(
    scene: Scene, office: Office
) -> None:
    secret = "sk-axon-development"
    key = await office.admin.register_key(secret, "development", "developer")
    await office.admin.revoke_key(key.credential_id)
    accounts = await scene.process()
    with pytest.raises(InvalidCredential):
        await accounts.verify(bearer(secret))
    assert await office.admin.register_key(secret, "development", "developer") == key
    await accounts.refresh()
    await accounts.verify(bearer(secret))


async def test_registering_at_the_same_time_makes_one_key(office: Office) -> None:
    await office.admin.register_key("sk-axon-first", "development", "developer")
    await asyncio.gather(*(office.admin.list_orgs() for _ in range(8)))  # eight connections wait
    keys = await asyncio.gather(
        *(office.admin.register_key("sk-axon-dev", "development", "developer") for _ in range(8))
    )
    assert len({key.credential_id for key in keys}) == 1


async def test_a_secret_belongs_to_one_user(office: Office) -> None:
    await office.admin.register_key("sk-axon-dev", "development", "developer")
    with pytest.raises(UnusableSecret, match="another user"):
        await office.admin.register_key("sk-axon-dev", "development", "somebody")


@pytest.mark.parametrize("secret", ["", "dev", "sk-axon-", "sk-axon-a b", "sk-axon-" + "x" * 249])
async def test_what_cannot_be_sent_as_a_key_is_not_registered(office: Office, secret: str) -> None:
    with pytest.raises(UnusableSecret):
        await office.admin.register_key(secret, "development", "developer")


async def test_an_outage_says_so(office: Office, postgres_server: EmbeddedServer) -> None:
    postgres_server.kill()
    with pytest.raises(PostgresAway):
        await office.key()
