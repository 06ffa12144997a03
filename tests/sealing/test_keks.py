"""The keys of organizations: one for each, wrapped by the root, kept through its outages."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from axon.app.roles import awaiting_root
from axon.base import SystemClock, SystemRandomness
from axon.journal import Location
from axon.records import TurnAccepted
from axon.sealing import (
    KeyGone,
    Keyring,
    KeyringRefused,
    KeyRootUnavailable,
    KeyStore,
    KeyStoreOptions,
    LocalRoot,
    Roots,
    SealingError,
    keks,
    open_sealed,
    seal,
)
from axon.sealing.guarded_root import GuardedRoot
from axon.sealing.key_table import WrappedKey
from axon.stores import Breaker
from axon.turns import OpenTurn
from tests.records.examples import EXAMPLES
from tests.sealing.root_servers import FakeVault
from tests.sealing.test_roots import vault_root

RANDOM = SystemRandomness()
Opener = Callable[..., KeyStore]


class MovedClock(SystemClock):
    """The system's clock, and what a test adds to its monotonic time."""

    __slots__ = ("later_s",)

    def __init__(self) -> None:
        self.later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later_s


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def url(vault: FakeVault) -> Iterator[str]:
    with vault.serving() as url:
        yield url


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def opened(
    tmp_path: Path, keyring: Keyring, url: str, clock: MovedClock
) -> AsyncIterator[Opener]:
    """Opens the store of a process of this node, or of another one, under Vault."""
    stores: list[KeyStore] = []

    def opener(node: str = "here", timeout_s: float = 5.0, region: str = "eu") -> KeyStore:
        gate = Breaker("key-root", failures_to_open=1000)
        root = GuardedRoot(vault_root(url, "hvs.right"), gate, timeout_s)
        options = KeyStoreOptions(
            region=region, roots=Roots(root, [LocalRoot(keyring, RANDOM)]), outage_max_s=7200
        )
        store = KeyStore(tmp_path / f"{node}.db", keyring, clock, RANDOM, options)
        stores.append(store)
        return store

    yield opener
    for store in stores:
        await store.close()


def read(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


async def test_an_organization_has_one_key_in_each_region(opened: Opener, tmp_path: Path) -> None:
    ours, theirs, abroad = opened(), opened(), opened(region="us")
    people = [(org, user) for org in ("org_1", "org_2") for user in range(20)]
    await asyncio.gather(*(store.current(*person) for store in (ours, theirs) for person in people))
    await abroad.current("org_1", 99)
    rows = read(tmp_path / "here.db", "SELECT region, org_id, root, bound FROM keks ORDER BY 1, 2")
    root = "vault:transit/axon"
    assert rows == [("eu", "org_1", root, 1), ("eu", "org_2", root, 1), ("us", "org_1", root, 1)]
    by_kek = "SELECT count(*), count(DISTINCT org_id) FROM data_keys GROUP BY kek_id ORDER BY 1"
    assert read(tmp_path / "here.db", by_kek) == [(1, 1), (20, 1), (20, 1)]


async def test_a_data_key_is_bound_to_its_region_organization_and_person(
    opened: Opener, tmp_path: Path
) -> None:
    first = opened()
    key = await first.current("org_1", 1)
    await first.current("org_2", 2)
    stolen = read(tmp_path / "here.db", "SELECT kek_id, wrapped FROM data_keys WHERE user = 1")[0]
    for change in (
        "UPDATE data_keys SET user = 5 WHERE user = 1",
        "UPDATE data_keys SET user = 1 WHERE user = 5; UPDATE keks SET region = 'us'",
        "UPDATE keks SET region = 'eu'; UPDATE keks SET org_id = 'org_3' WHERE org_id = 'org_1'",
    ):
        connection = sqlite3.connect(tmp_path / "here.db")
        connection.executescript(change)
        connection.close()
        with pytest.raises(SealingError):
            await opened().by_id(key.key_id)
    connection = sqlite3.connect(tmp_path / "here.db")
    connection.execute(
        "UPDATE data_keys SET kek_id = ?, wrapped = ? WHERE user = 2", stolen
    )  # another person's key, put in place of one's own
    connection.commit()
    connection.close()
    with pytest.raises(SealingError):
        await opened().current("org_2", 2)


async def test_keys_the_keyring_wrapped_stay_readable(
    opened: Opener, keyring: Keyring, vault: FakeVault, tmp_path: Path
) -> None:
    """As Axon wrapped them before organizations had keys; also while the root is away."""
    store = opened()
    await store.keks.look()  # the stock
    secret, key_id = RANDOM.bytes(32), RANDOM.bytes(16)
    kek_id, wrapped = (found := keyring.wrap(secret)).kek_id, found.data
    store._table.current([WrappedKey(key_id, "org_1", 1, kek_id, wrapped, 1)])
    vault.fault = "failing"
    again = opened()
    key = await again.current("org_1", 1)
    assert key.key_id == key_id and (await store.by_id(key_id)).user == 1
    blob = seal(key, b"place", b"words", RANDOM)
    vault.fault = ""
    assert await again.count_lagging() == 0, "the organization has no key of its own yet"
    await again.current("org_1", 2)
    assert await again.count_lagging() == 1
    assert await again.rewrap_some(b"", 10) == (1, key_id)
    assert await again.count_lagging() == 0
    assert open_sealed(await opened().by_id(key_id), b"place", blob) == b"words"
    assert read(tmp_path / "here.db", "SELECT count(DISTINCT kek_id) FROM data_keys") == [(1,)]


@pytest.mark.failure("key-root", "down")
async def test_an_outage_stops_nobody_whose_organization_is_known(
    opened: Opener, vault: FakeVault
) -> None:
    store = opened()
    known = await store.current("org_1", 1)
    vault.fault = "failing"
    newcomers = await asyncio.gather(*(store.current("org_1", user) for user in range(2, 50)))
    assert len({key.key_id for key in newcomers}) == 48
    store._forget()  # as after an erasure: what was unwrapped is unwrapped again
    assert (await store.current("org_1", 1)).key_id == known.key_id
    with pytest.raises(KeyRootUnavailable):
        await store.current("org_new", 1)
    vault.fault = ""
    assert (await store.current("org_new", 1)).user == 1


@pytest.mark.failure("key-root", "frozen")
async def test_nobody_waits_behind_one_who_needs_a_frozen_root(
    opened: Opener, vault: FakeVault
) -> None:
    store = opened(timeout_s=30.0)
    await store.current("org_1", 1)
    vault.fault = "frozen"
    waiting = asyncio.create_task(store.current("org_new", 1))
    await asyncio.sleep(0)
    newcomers = await asyncio.gather(*(store.current("org_1", user) for user in range(2, 50)))
    assert len(newcomers) == 48 and not waiting.done()
    vault.released.set()  # and it breaks the connection
    with pytest.raises(KeyRootUnavailable):
        await waiting


@pytest.mark.failure("key-root", "down")
async def test_new_organizations_take_keys_that_were_made_beforehand(
    opened: Opener, vault: FakeVault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(keks, "STOCK", 3)
    store = opened()
    await store.keks.look()
    vault.fault = "failing"
    blobs = {}
    for number in range(3):
        key = await store.current(f"org_{number}", 1)
        blobs[key.key_id] = seal(key, b"place", b"words", RANDOM)
        assert (await store.current(f"org_{number}", 2)).key_id != key.key_id
    with pytest.raises(KeyRootUnavailable):
        await store.current("org_3", 1)
    assert read(tmp_path / "here.db", "SELECT count(*), sum(bound) FROM keks") == [(3, 0)]
    vault.fault = ""
    for _ in range(2):  # now the root binds each to its organization, and the stock is full again
        await store.keks.look()
    assert read(tmp_path / "here.db", "SELECT count(*), sum(bound) FROM keks") == [(3, 3)]
    assert len(store.keks._stock) == 3
    restarted = opened()
    for key_id, blob in blobs.items():
        assert open_sealed(await restarted.by_id(key_id), b"place", blob) == b"words"


@pytest.mark.failure("key-root", "at-start")
async def test_a_start_without_the_root_refuses_until_it_is_back(
    opened: Opener, vault: FakeVault
) -> None:
    key = await opened().current("org_1", 1)
    vault.fault = "failing"
    restarted = opened()
    for asked in (restarted.current("org_1", 1), restarted.by_id(key.key_id)):
        with pytest.raises(KeyRootUnavailable, match="sealed"):
            await asked
    await restarted.keks.look()
    vault.fault = ""
    await restarted.keks.look()
    vault.fault = "failing"  # what was opened meanwhile, without anybody asking, is there
    assert (await restarted.current("org_1", 1)).key_id == key.key_id


@pytest.mark.failure("key-root", "refusing")
async def test_what_could_not_be_asked_for_too_long_is_let_go_of(
    opened: Opener, vault: FakeVault, clock: MovedClock
) -> None:
    store = opened()
    key = await store.current("org_1", 1)
    vault.token = "another"
    clock.later_s = 7100
    await store.keks.look()
    assert store.cached("org_1", 1) is key
    clock.later_s = 7300
    await store.keks.look()
    assert store.cached("org_1", 1) is None and store.cached_by_id(key.key_id) is None
    with pytest.raises(KeyRootUnavailable):
        await store.current("org_1", 1)
    vault.token = "hvs.right"
    assert (await store.current("org_1", 1)).key_id == key.key_id


async def test_what_is_asked_for_again_in_time_stays(
    opened: Opener, vault: FakeVault, clock: MovedClock
) -> None:
    store = opened()
    key = await store.current("org_1", 1)
    for later_s in (4000, 8000, 12_000):
        clock.later_s = later_s
        asked = len(vault.calls)
        await store.keks.look()
        assert [call for call in vault.calls[asked:] if "decrypt" in call] != []
        assert store.cached("org_1", 1) is key


@pytest.mark.failure("key-root", "wiped")
async def test_a_root_that_lost_its_key_is_told_and_the_rest_is_lost_with_it(
    opened: Opener, vault: FakeVault
) -> None:
    store = opened()
    key = await store.current("org_1", 1)
    vault.versions[0] = RANDOM.bytes(32)
    assert (await store.current("org_1", 2)).user == 2, "what is in memory goes on"
    with pytest.raises(SealingError, match="did not wrap"):
        await opened().by_id(key.key_id)


async def test_an_organization_can_be_destroyed(
    opened: Opener, tmp_path: Path, vault: FakeVault
) -> None:
    store, beside = opened(), opened()
    keys = [await store.current("org_1", user) for user in range(5)]
    kept = await store.current("org_2", 1)
    assert (await beside.by_id(keys[0].key_id)).user == 0
    [(wrapped,)] = read(tmp_path / "here.db", "SELECT wrapped FROM keks WHERE org_id = 'org_1'")
    assert await store.destroy("org_1") == 5
    for each in (store, beside):
        with pytest.raises(KeyGone):
            await each.by_id(keys[0].key_id)
        assert (await each.by_id(kept.key_id)).user == 1
    assert isinstance(wrapped, bytes)
    assert all(wrapped not in path.read_bytes() for path in tmp_path.iterdir())
    again = await beside.current("org_1", 0)
    assert again.key_id not in {key.key_id for key in keys}
    for each in (store, beside):
        await each.keks.look()
    assert (await store.by_id(again.key_id)).user == 0


async def test_a_root_that_is_not_set_up_is_named(
    opened: Opener, keyring: Keyring, tmp_path: Path
) -> None:
    key = await opened().current("org_1", 1)
    store = KeyStore(tmp_path / "here.db", keyring, SystemClock(), RANDOM)
    with pytest.raises(KeyRootUnavailable, match="vault:transit/axon is not set up"):
        await store.by_id(key.key_id)
    await store.close()


async def test_keys_of_one_root_are_read_under_another(
    opened: Opener, keyring: Keyring, tmp_path: Path
) -> None:
    local = KeyStore(
        tmp_path / "here.db", keyring, SystemClock(), RANDOM, KeyStoreOptions(region="eu")
    )
    key = await local.current("org_1", 1)
    await local.close()
    store = opened()
    assert (await store.by_id(key.key_id)).user == 1
    assert (await store.current("org_1", 1)).key_id == key.key_id


async def test_a_key_nobody_has_is_said(opened: Opener) -> None:
    with pytest.raises(KeyringRefused, match="okek_none"):
        await opened().keks.by_id("okek_none")


async def test_keys_in_memory_are_bounded(
    opened: Opener, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keks, "KEKS_IN_MEMORY_MAX", 2)
    store = opened()
    keys = [await store.current(f"org_{number}", 1) for number in range(4)]
    assert len(store.keks._open) == 2 and store.keks.at_hand("org_0") is None
    asked = len(vault.calls)
    store._forget()
    assert (await store.by_id(keys[3].key_id)).key_id == keys[3].key_id
    assert len(vault.calls) == asked
    assert (await store.by_id(keys[0].key_id)).key_id == keys[0].key_id
    assert len(vault.calls) == asked + 1, "it is asked for again"


@pytest.mark.failure("key-root", "at-start")
async def test_a_start_waits_for_the_keys_of_turns_that_were_left_open(
    opened: Opener, vault: FakeVault, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(awaiting_root, "_EVERY_S", 0.0)
    key = await opened().current("org_1", 1)
    accepted_once = EXAMPLES[1]
    assert isinstance(accepted_once, TurnAccepted)
    accepted = msgspec.structs.replace(accepted_once, request=seal(key, b"", b"asked", RANDOM))
    left = OpenTurn(accepted, Location(1, 1, 0, 1))
    vault.fault = "failing"
    restarted = opened()
    waiting = asyncio.create_task(awaiting_root.when_openable(restarted, clock, [left]))
    asked = vault.requests
    while vault.requests < asked + 3:
        assert not waiting.done()
        await asyncio.sleep(0)
    vault.fault = ""
    assert await waiting == [left]
    assert restarted.cached_by_id(key.key_id) is not None
    vault.fault = "failing"
    late = asyncio.create_task(awaiting_root.when_openable(opened(), clock, [left]))
    asked = vault.requests
    while vault.requests == asked:
        await asyncio.sleep(0)
    clock.later_s = awaiting_root.WITHIN_S + 1
    assert await late == [left], "it does not wait for ever"
