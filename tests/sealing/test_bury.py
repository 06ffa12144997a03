"""What one node erases is gone on the others: keys, memory, and all that they sealed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.app.roles.burying import Burying
from axon.base import SystemClock, SystemRandomness
from axon.sealing import KeyGone, Keyring, KeyStore, key_id_of, open_sealed, seal
from axon.stores import Postgres

ORG, ADA, BOB = "org_1", 7, 8
RANDOMNESS = SystemRandomness()


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


async def test_another_node_follows_and_who_comes_back_begins_anew(
    tmp_path: Path, keyring: Keyring, postgres: Postgres
) -> None:
    here = KeyStore(tmp_path / "here", keyring, SystemClock(), RANDOMNESS)
    there = KeyStore(tmp_path / "there", keyring, SystemClock(), RANDOMNESS)
    blobs = {
        user: seal(await there.current(ORG, user), b"", b"words", RANDOMNESS) for user in (ADA, BOB)
    }
    ids = {user: key_id_of(blob) for user, blob in blobs.items()}
    async with postgres.connection(5.0) as connection:
        await there.upload(connection)
        await here.fetch(connection, ids[ADA])
        assert open_sealed(await here.by_id(ids[ADA]), b"", blobs[ADA]) == b"words"
        await here.erase(ORG, ADA)
        await here.upload(connection)
    following = Burying(postgres, there, SystemClock())
    assert there.cached_by_id(ids[ADA]) is not None
    assert await following.bury() == 1
    assert await following.bury() == 0
    assert there.cached_by_id(ids[ADA]) is None
    for store in (here, there):
        with pytest.raises(KeyGone):
            await store.by_id(ids[ADA])
    async with postgres.connection(5.0) as connection:
        with pytest.raises(KeyGone):
            await there.fetch(connection, ids[ADA])
    assert open_sealed(await there.by_id(ids[BOB]), b"", blobs[BOB]) == b"words"
    again = await there.current(ORG, ADA)
    assert again.key_id != ids[ADA]
    await following.bury()
    assert (await there.by_id(again.key_id)).key_id == again.key_id, "made since, so it stays"
    await here.close()
    await there.close()
