from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from axon.base import SystemClock, SystemRandomness
from axon.sealing import KeyGone, Keyring, KeyStore


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def here(tmp_path: Path, keyring: Keyring) -> AsyncIterator[KeyStore]:
    store = KeyStore(tmp_path / "here.db", keyring, SystemClock(), SystemRandomness())
    yield store
    await store.close()


@pytest.fixture
async def there(tmp_path: Path, keyring: Keyring) -> AsyncIterator[KeyStore]:
    """The store of another node with the same keyring."""
    store = KeyStore(tmp_path / "there.db", keyring, SystemClock(), SystemRandomness())
    yield store
    await store.close()


async def upload(store: KeyStore, connection: asyncpg.Connection) -> int:
    async with connection.transaction():
        return await store.upload(connection)


async def count(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM sealing.data_keys"))


async def test_another_node_can_fetch_a_key(
    here: KeyStore, there: KeyStore, connection: asyncpg.Connection
) -> None:
    key = await here.current("org", 1)
    with pytest.raises(KeyGone):
        await there.fetch(connection, key.key_id)
    assert await upload(here, connection) == 1
    await there.fetch(connection, key.key_id)
    fetched = await there.by_id(key.key_id)
    assert (fetched.org_id, fetched.user) == ("org", 1)
    sealed = key.cipher.encrypt(b"n" * 12, b"hello", b"")
    assert fetched.cipher.decrypt(b"n" * 12, sealed, b"") == b"hello"
    await there.fetch(connection, key.key_id)  # again: harmless
    assert (await there.current("org", 1)).key_id != key.key_id  # a node makes its own


async def test_keys_are_sent_until_they_are_committed(
    here: KeyStore, connection: asyncpg.Connection
) -> None:
    await here.current("org", 1)
    await here.current("org", 2)
    rolled_back = connection.transaction()
    await rolled_back.start()
    assert await here.upload(connection) == 2
    await rolled_back.rollback()
    assert [await upload(here, connection) for _ in range(3)] == [2, 0, 0]
    assert await count(connection) == 2
    assert here._table.keys_to_upload(10) == []


async def test_an_erasure_reaches_the_copy_and_cannot_be_undone(
    here: KeyStore, there: KeyStore, connection: asyncpg.Connection
) -> None:
    key = await here.current("org", 1)
    await here.current("org", 2)
    await upload(here, connection)
    copy = await connection.fetchrow("SELECT * FROM sealing.data_keys WHERE user_id = 1")
    assert copy is not None
    await here.erase("org", 1)
    for _ in range(3):
        await upload(here, connection)
    assert here._table.erasures_to_upload(10) == []
    assert await connection.fetchval("SELECT array_agg(user_id) FROM sealing.data_keys") == [2]
    with pytest.raises(KeyGone):
        await there.fetch(connection, key.key_id)
    # An old backup of PostgreSQL brings the row back: this node knows better.
    await connection.execute("INSERT INTO sealing.data_keys VALUES ($1, $2, $3, $4, $5, $6)", *copy)
    with pytest.raises(KeyGone):
        await here.fetch(connection, key.key_id)


async def test_keys_made_after_an_erasure_stay(
    here: KeyStore, connection: asyncpg.Connection
) -> None:
    await here.current("org", 1)
    await upload(here, connection)
    await here.erase("org", 1)
    fresh = await here.current("org", 1)
    for _ in range(2):
        await upload(here, connection)
    assert await connection.fetchval("SELECT key_id FROM sealing.data_keys") == fresh.key_id


async def test_many_keys_go_in_batches(
    here: KeyStore, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axon.sealing.key_copy.ROWS_MAX", 3)
    for user in range(7):
        await here.current("org", user)
    sent = [await upload(here, connection) for _ in range(7)]
    assert sent == [3, 0, 3, 0, 1, 0, 0] and await count(connection) == 7
