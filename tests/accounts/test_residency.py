"""Regions: what belongs to another cell is turned away before anything is asked of a store."""

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from axon.accounts import (
    Accounts,
    AccountsAdmin,
    AccountsUnavailable,
    Cells,
    InvalidCredential,
    Misdirected,
    NewKey,
    StillHere,
    TooManyPlaced,
    UnknownAccount,
    UnusableRegion,
    WrongCell,
    cell_store,
    refusal_of_other_cells,
)
from axon.base import SystemRandomness
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions
from tests.accounts.scene import Office, Scene, bearer, queries

EU_URL = "https://eu.example.com/v1"
US_URL = "https://us.example.com/v1"
URLS = {"eu": EU_URL, "us": US_URL}
US, EU = Cells(region="us", base_urls=URLS), Cells(region="eu", base_urls=URLS)


class Bureau:
    """The administration of a cell, with a product whose key acts for users."""

    def __init__(self, scene: Scene, postgres: Postgres, cells: Cells) -> None:
        self.scene, self.postgres, self.cells = scene, postgres, cells
        self.admin = AccountsAdmin(postgres, scene.keyring, scene.clock, SystemRandomness(), cells)

    async def product(self, name: str = "acme") -> tuple[str, str]:
        """Return a new organization's id and its product's secret."""
        org = await self.admin.create_org(name)
        user = await self.admin.create_user(org.org_id, "backend")
        new = NewKey(org_id=org.org_id, user=user.user, name="b", acts_for_users=True)
        return org.org_id, (await self.admin.create_key(new)).secret

    async def process(self, cells: Cells | None = None) -> Accounts:
        options = replace(self.scene.options(), cells=cells or self.cells)
        return await self.scene.process(options)


@pytest.fixture
async def us(scene: Scene) -> AsyncIterator[Bureau]:
    postgres = await scene.postgres()
    yield Bureau(scene, postgres, US)
    await postgres.stop()


async def test_a_key_says_its_region_and_another_cell_asks_nobody(us: Bureau) -> None:
    _, secret = await us.product()
    assert secret.startswith("sk-axon-us-")
    here = await us.process()
    assert (await here.verify(bearer(secret))).region == "us"
    before = queries()
    foreign = secret.replace("sk-axon-us-", "sk-axon-eu-")
    with pytest.raises(Misdirected) as caught:
        await here.verify(bearer(foreign))
    assert (caught.value.region, caught.value.base_url) == ("eu", EU_URL)
    with pytest.raises(Misdirected) as caught:
        await here.verify(bearer(secret.replace("sk-axon-us-", "sk-axon-ap-south-1-")))
    assert (caught.value.region, caught.value.base_url) == ("ap-south-1", "")
    assert queries() == before


async def test_a_key_without_a_mark_stays_valid_and_an_unknown_one_stays_unknown(
    us: Bureau, scene: Scene
) -> None:
    old = Bureau(scene, us.postgres, Cells())
    _, secret = await old.product()
    assert secret.count("-") == 2
    here = await us.process()
    assert (await here.verify(bearer(secret))).region == "local"
    for unknown in (f"sk-axon-{48 * '0'}", "sk-axon-eu-was-never-made-here"):
        with pytest.raises(InvalidCredential):
            await here.verify(bearer(unknown))
    anywhere = await us.process(Cells())
    with pytest.raises(InvalidCredential):  # without a region of its own a mark means nothing
        await anywhere.verify(bearer(f"sk-axon-eu-{48 * '0'}"))


async def test_a_pass_says_its_region_under_its_signature(us: Bureau, scene: Scene) -> None:
    _, secret = await us.product()
    here = await us.process()
    product = await here.verify(bearer(secret))
    text = here.mint_user_pass(product, "bob", 60).text
    assert text.startswith("up-axon-us.")
    assert (await here.verify(bearer(text))).user == here.subject(product, "bob")
    before = queries()
    with pytest.raises(Misdirected):
        await here.verify(bearer(text.replace("up-axon-us.", "up-axon-eu.")))
    there = Accounts(
        us.postgres,
        Keyring.open(scene.folder / "eu.json", SystemRandomness()),
        scene.clock,
        SystemRandomness(),
        replace(scene.options("eu-accounts.json"), cells=EU),
    )
    with pytest.raises(Misdirected) as caught:
        await there.verify(bearer(text))
    assert caught.value.base_url == US_URL
    with pytest.raises(InvalidCredential):  # the mark is signed with the rest
        await there.verify(bearer(text.replace("up-axon-us.", "up-axon-eu.")))
    with pytest.raises(InvalidCredential):
        await here.verify(bearer(text.replace("up-axon-us.", "up-axon-")))
    assert queries() == before


async def test_a_pass_from_before_regions_is_still_read(us: Bureau) -> None:
    _, secret = await us.product()
    before = await us.process(Cells())
    text = before.mint_user_pass(await before.verify(bearer(secret)), "bob", 60).text
    assert text.count(".") == 1
    assert (await (await us.process()).verify(bearer(text))).region == "us"


async def test_an_organization_is_made_in_the_cell_of_its_region_alone(us: Bureau) -> None:
    assert (await us.admin.create_org("one")).region == "us"
    with pytest.raises(WrongCell, match=r"eu is served at https://eu\.example\.com/v1"):
        await us.admin.create_org("two", region="eu")
    with pytest.raises(WrongCell, match="no cell for jp is known here"):
        await us.admin.create_org("two", region="jp")
    with pytest.raises(UnusableRegion):
        await us.admin.create_org("two", region="the moon")
    assert [org.name for org in await us.admin.list_orgs()] == ["one"]
    with pytest.raises(Misdirected):
        await us.admin.register_key(f"sk-axon-eu-{48 * 'a'}", "three", "dev")


async def test_an_organization_of_another_region_is_sent_there(scene: Scene, us: Bureau) -> None:
    """One that an installation had before it became a cell."""
    office = await Office.open(scene, us.postgres)
    created = await office.key(acts_for_users=True)
    with pytest.raises(Misdirected) as caught:
        await (await us.process()).verify(bearer(created.secret))
    assert caught.value.base_url == EU_URL
    assert (await (await us.process(EU)).verify(bearer(created.secret))).region == "eu"


async def test_a_person_of_another_region_is_sent_there_in_every_process(us: Bureau) -> None:
    org_id, secret = await us.product()
    processes = [await us.process(), await us.process()]
    product = await processes[0].verify(bearer(secret))
    ada_pass = processes[0].mint_user_pass(product, "ada", 60).text
    await processes[1].verify(bearer(ada_pass))
    home = await us.admin.place_user(org_id, "ada", "eu")
    assert await us.admin.list_homes(org_id) == {home.user: "eu"}
    for one in processes:
        await one.refresh()
        assert one.known(bearer(ada_pass)) is None
        with pytest.raises(Misdirected) as caught:
            one.subject(product, "ada")
        assert (caught.value.region, caught.value.base_url) == ("eu", EU_URL)
        with pytest.raises(Misdirected):
            one.check_home(org_id, home.user)
        with pytest.raises(Misdirected):
            one.mint_user_pass(product, "ada", 60)
        with pytest.raises(Misdirected):
            await one.verify(bearer(ada_pass))
        assert one.subject(product, "bob") != home.user
    await us.admin.place_user(org_id, "ada", "")
    for one in processes:
        await one.refresh()
        assert one.subject(product, "ada") == home.user
        assert (await one.verify(bearer(ada_pass))).region == "us"
    assert await us.admin.list_homes(org_id) == {}


async def test_a_users_own_region_goes_before_the_organizations(us: Bureau) -> None:
    org_id, secret = await us.product()
    here = await us.process()
    await us.admin.place_user(org_id, "backend", "eu")
    await here.refresh()
    with pytest.raises(Misdirected):
        await here.verify(bearer(secret))


async def test_who_is_elsewhere_is_known_without_postgresql(us: Bureau, scene: Scene) -> None:
    org_id, secret = await us.product()
    await us.admin.place_user(org_id, "ada", "eu")
    first = await us.process()
    await first.verify(bearer(secret))
    await first.stop()
    away = Postgres("postgresql://nobody@127.0.0.1:1/none", PostgresOptions(connect_timeout_s=0.1))
    options = replace(scene.options(), cells=US)
    again = Accounts(away, scene.keyring, scene.clock, SystemRandomness(), options)
    await again.start()
    product = await again.verify(bearer(secret))
    with pytest.raises(Misdirected):
        again.subject(product, "ada")
    await again.stop()


async def test_many_homes_come_page_by_page_and_keep_their_order(
    us: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axon.accounts.store.CHANGES_PAGE", 2)
    org_id, secret = await us.product()
    names = [f"user-{number}" for number in range(5)]
    for name in names:
        await us.admin.place_user(org_id, name, "eu")
    await us.admin.place_user(org_id, names[0], "")
    here = await us.process()
    product = await here.verify(bearer(secret))
    assert here.subject(product, names[0])
    for name in names[1:]:
        with pytest.raises(Misdirected):
            here.subject(product, name)


async def test_nobody_is_placed_whose_words_are_here_nor_beyond_the_bound(
    us: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    org_id, _ = await us.product()
    ada = us.admin.user_number(org_id, "ada")
    async with us.postgres.connection(10) as connection:
        columns = await connection.fetch(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'sealing' AND table_name = 'data_keys' AND is_nullable = 'NO'"
            " AND column_default IS NULL AND is_generated = 'NEVER'"
        )
        values: dict[str, object] = {"org_id": org_id, "user_id": ada}
        for name, kind in columns:
            values.setdefault(name, b"x" if kind == "bytea" else "1" if kind == "text" else 1)
        marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await connection.execute(
            f"INSERT INTO sealing.data_keys ({', '.join(values)}) VALUES ({marks})",
            *values.values(),
        )
    with pytest.raises(StillHere):
        await us.admin.place_user(org_id, "ada", "eu")
    await us.admin.place_user(org_id, "ada", "us")
    with pytest.raises(UnusableRegion):
        await us.admin.place_user(org_id, "bob", "EU!")
    with pytest.raises(UnknownAccount):
        await us.admin.place_user("org_none", "bob", "eu")
    monkeypatch.setattr(cell_store, "HOMES_MAX", 1)
    with pytest.raises(TooManyPlaced):
        await us.admin.place_user(org_id, "bob", "eu")


async def test_a_database_belongs_to_one_region_for_good(database: str, scene: Scene) -> None:
    def options(region: str) -> PostgresOptions:
        return PostgresOptions(refusal=refusal_of_other_cells(region))

    nobodys = Postgres(database, options(""))
    await nobodys.start()
    assert nobodys.available, "it has no region yet"
    eu = Postgres(database, options("eu"))
    await eu.start()
    assert eu.available
    us, plain = Postgres(database, options("us")), Postgres(database, options(""))
    for wrong in (us, plain):
        await wrong.start()
        assert not wrong.available
        assert "of the region eu" in wrong.health.reason
    accounts = Accounts(us, scene.keyring, scene.clock, SystemRandomness(), scene.options())
    with pytest.raises(AccountsUnavailable):
        await accounts.verify(bearer(f"sk-axon-{48 * '0'}"))
    for one in (nobodys, eu, us, plain):
        await one.stop()


async def test_a_database_from_before_regions_is_refused_until_it_is_migrated(
    database: str,
) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("DROP TABLE accounts.cell")
    assert "axon migrate" in await refusal_of_other_cells("eu")(connection)
    assert await refusal_of_other_cells("")(connection) == ""
    await connection.close()
