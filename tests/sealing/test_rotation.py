"""Rotating keys: online, resumable, followed by other nodes, and nothing becomes unreadable."""

import asyncio
import io
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from axon.app.roles.following_keys import ROUNDS, FollowingKeys
from axon.base import SystemClock, SystemRandomness
from axon.sealing import (
    EVERYBODY,
    DataKey,
    KeyGone,
    KeyRefused,
    Keyring,
    KeyringRefused,
    KeyStore,
    Rotation,
    count_by_kek,
    open_sealed,
    read_rotations,
    rotation,
    seal,
)
from axon.sealing.key_table import WrappedKey
from axon.stores import Postgres
from axon.telemetry import configure_log, log

RANDOM = SystemRandomness()
CLOCK = SystemClock()
PLACE = b"place"


def quiet(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""


@dataclass
class Node:
    """Two processes of a node, and what people have said there."""

    path: Path
    keyring: Keyring
    stores: list[KeyStore] = field(default_factory=list)
    blobs: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Words, and how they are sealed."""

    def store(self) -> KeyStore:
        store = KeyStore(self.path, self.keyring, CLOCK, RANDOM)
        self.stores.append(store)
        return store

    async def say(self, store: KeyStore, org_id: str, user: int) -> DataKey:
        key = store.cached(org_id, user) or await store.current(org_id, user)
        words = b"words %d" % len(self.blobs)
        self.blobs.append((words, seal(key, PLACE, words, RANDOM)))
        return key

    async def read_all(self, store: KeyStore) -> int:
        for words, blob in self.blobs:
            key = await store.by_id(blob[2:18])
            assert open_sealed(key, PLACE, blob) == words
        return len(self.blobs)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.path, timeout=5.0)
        rows = connection.execute(sql).fetchall()
        connection.close()
        return rows


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def node(tmp_path: Path, keyring: Keyring) -> AsyncIterator[Node]:
    node = Node(tmp_path / "here.db", keyring)
    yield node
    for store in node.stores:
        await store.close()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged."""
    stream = io.StringIO()
    configure_log(stream, "test", "info")
    yield stream
    configure_log(sys.stderr, "axon", "info")


@pytest.fixture
async def elsewhere(tmp_path: Path, keyring: Keyring) -> AsyncIterator[Node]:
    node = Node(tmp_path / "there.db", Keyring.open(tmp_path / "keyring.json", RANDOM))
    yield node
    for store in node.stores:
        await store.close()


async def test_a_new_key_of_an_organization_wraps_what_is_and_what_comes(
    node: Node, connection: asyncpg.Connection
) -> None:
    serving, command = node.store(), node.store()
    for org, user in (("org_1", 1), ("org_1", 2), ("org_2", 1)):
        await node.say(serving, org, user)
    told: list[tuple[str, int, int]] = []
    rotating = Rotation(command, connection, CLOCK, lambda *told_: told.append(told_))
    done = await rotating.rotate_keks("org_1")
    assert done == (1, 4, False, 0), "two keys of people, each in PostgreSQL and here"
    newest = await command.keks.newest()
    assert await count_by_kek(connection) == {
        newest["org_1"]: 2,
        newest["org_2"]: 1,
    }
    assert told[-1] == ("this node", 2, 2) and ("PostgreSQL", 2, 2) in told
    await serving.keks.look()
    await node.say(serving, "org_1", 3)
    by_kek = node.query("SELECT kek_id, count(*) FROM data_keys GROUP BY 1 ORDER BY 2")
    assert by_kek == [(newest["org_2"], 1), (newest["org_1"], 3)]
    assert await node.read_all(serving) == await node.read_all(node.store()) == 4
    everybody = await rotating.rotate_keks()
    assert everybody[:3] == (2, 8, False)
    assert await node.read_all(node.store()) == 4
    [last, *_] = await read_rotations(connection)
    assert (last.kind, last.org_id) == ("keks", "") and last.ended_us is not None


async def test_keys_of_before_organizations_had_some_are_wrapped_anew(
    node: Node, connection: asyncpg.Connection
) -> None:
    store = node.store()
    for user in range(5):
        secret, key_id = RANDOM.bytes(32), RANDOM.bytes(16)
        wrapped = node.keyring.wrap(secret)
        key = WrappedKey(key_id, "org_1", user, wrapped.kek_id, wrapped.data, 1)
        store._table.current([key])
        await node.say(store, "org_1", user)
    assert (await Rotation(store, connection, CLOCK, quiet).rotate_keks())[:2] == (1, 10)
    assert await node.read_all(node.store()) == 5
    assert list(await count_by_kek(connection)) == [(await store.keks.newest())["org_1"]]


async def test_another_node_follows(
    node: Node, elsewhere: Node, connection: asyncpg.Connection, postgres: Postgres
) -> None:
    here, there = node.store(), elsewhere.store()
    for user in range(3):
        await node.say(here, "org_1", user)
        await elsewhere.say(there, "org_1", user)
    late = elsewhere.store()
    await elsewhere.say(late, "org_1", 1)
    await node.say(here, "org_2", 1)
    await there.upload_rest(connection)
    following = FollowingKeys(postgres, there, CLOCK)
    await following.follow()
    rotating = Rotation(here, connection, CLOCK, quiet)
    await rotating.rotate_keks()
    newest = await here.keks.newest()
    assert await following.follow() == 3
    assert await there.keks.newest() == newest
    assert set(elsewhere.query("SELECT DISTINCT kek_id FROM data_keys")) == {(newest["org_1"],)}
    assert await elsewhere.read_all(elsewhere.store()) == 4
    # A process that had not looked yet makes a key under the older one: it is found, here and in
    # PostgreSQL.
    await elsewhere.say(late, "org_1", 9)
    assert len(elsewhere.query("SELECT DISTINCT kek_id FROM data_keys")) == 2
    await there.upload_rest(connection)
    for _ in range(ROUNDS):
        await following.follow()
    assert set(await count_by_kek(connection)) == set(newest.values())
    # New content gets new keys there too, and an organization that is destroyed is gone there.
    before = await there.current("org_1", 1)
    await rotating.rotate_data_keys("org_1", None)
    await following.follow()
    assert (await elsewhere.say(there, "org_1", 1)).key_id != before.key_id
    assert await elsewhere.read_all(there) == 6
    await here.destroy("org_1")
    await here.upload_rest(connection)
    await following.follow()
    with pytest.raises(KeyGone):
        await there.by_id(before.key_id)
    assert set(await count_by_kek(connection)) == {newest["org_2"]}
    with pytest.raises(KeyGone):
        await there.fetch(connection, before.key_id)


async def test_new_data_keys_seal_what_comes_and_the_old_ones_open_what_was(
    node: Node, connection: asyncpg.Connection
) -> None:
    serving, command = node.store(), node.store()
    before = {user: await node.say(serving, "org_1", user) for user in (1, 2)}
    other = await node.say(serving, "org_2", 1)
    rotating = Rotation(command, connection, CLOCK, quiet)
    assert await rotating.rotate_data_keys("org_1", 1) == 1
    assert (await node.say(serving, "org_1", 1)).key_id != before[1].key_id
    assert (await node.say(serving, "org_1", 2)).key_id == before[2].key_id
    assert await rotating.rotate_data_keys("org_1", None) == 2
    assert (await node.say(serving, "org_1", 2)).key_id != before[2].key_id
    assert (await node.say(serving, "org_2", 1)).key_id == other.key_id
    assert await node.read_all(serving) == 7
    rows = await connection.fetch("SELECT user_id FROM sealing.renewals ORDER BY 1")
    assert [row[0] for row in rows] == [EVERYBODY, 1]


async def test_the_root_is_rotated_and_running_processes_read_the_keyring_again(
    node: Node, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    running = node.store()
    for org in ("org_1", "org_2"):
        await node.say(running, org, 1)
    old = node.keyring.current_kek
    command_ring = Keyring.open(tmp_path / "keyring.json", RANDOM)
    command = KeyStore(node.path, command_ring, CLOCK, RANDOM)
    done = await Rotation(command, connection, CLOCK, quiet).rotate_root()
    await command.close()
    assert done == (2, 0, False, 0)
    assert command_ring.kek_ids == [old, command_ring.current_kek]
    assert set(node.query("SELECT root_version FROM keks")) == {(command_ring.current_kek,)}
    assert (
        await connection.fetchval(
            "SELECT count(*) FROM sealing.keks WHERE root_version = $1", command_ring.current_kek
        )
        == 2
    )
    fresh = node.store()  # with the keyring as it was read before
    assert node.keyring.current_kek == old
    assert await node.read_all(fresh) == 2
    assert node.keyring.current_kek == command_ring.current_kek


async def test_a_node_with_an_older_keyring_goes_on_until_it_has_the_new_one(
    node: Node,
    elsewhere: Node,
    connection: asyncpg.Connection,
    postgres: Postgres,
    tmp_path: Path,
    lines: io.StringIO,
) -> None:
    here = node.store()
    other_copy = tmp_path / "other.json"
    other_copy.write_bytes((tmp_path / "keyring.json").read_bytes())
    other_copy.chmod(0o600)
    elsewhere.keyring = Keyring.open(other_copy, RANDOM)
    there = elsewhere.store()
    await elsewhere.say(there, "org_1", 1)
    await there.upload_rest(connection)
    following = FollowingKeys(postgres, there, CLOCK)
    await following.follow()
    await Rotation(here, connection, CLOCK, quiet).rotate_root()
    for _ in range(2):
        await following.follow()
    assert log.flush(5.0)
    assert lines.getvalue().count("keyring.old") == 1
    assert await elsewhere.read_all(elsewhere.store()) == 1, "though it has just started"
    other_copy.write_bytes((tmp_path / "keyring.json").read_bytes())
    await following.follow()
    version = node.keyring.current_kek
    assert elsewhere.query("SELECT DISTINCT root_version FROM keks") == [(version,)]
    assert await elsewhere.read_all(elsewhere.store()) == 1


async def test_one_that_cannot_be_opened_stays_and_holds_up_nobody(
    node: Node, connection: asyncpg.Connection
) -> None:
    store = node.store()
    keys = [await node.say(store, "org_1", user) for user in range(3)]
    await store.upload_rest(connection)
    damage = "UPDATE sealing.data_keys SET wrapped = $2 WHERE key_id = $1"
    await connection.execute(damage, keys[1].key_id, bytes(60))
    assert await Rotation(store, connection, CLOCK, quiet).rotate_keks() == (1, 5, False, 1)
    kept = await connection.fetchval(
        "SELECT wrapped FROM sealing.data_keys WHERE key_id = $1", keys[1].key_id
    )
    assert kept == bytes(60)
    with pytest.raises((KeyRefused, KeyringRefused)):
        await store._wrapping.secret_of(WrappedKey(keys[1].key_id, "org_1", 1, "kek_none", b"", 1))


async def test_nothing_is_unreadable_while_everything_rotates_under_load(
    node: Node, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "AT_ONCE", 7)
    monkeypatch.setattr(rotation, "PAGE", 7)
    serving = [node.store(), node.store()]
    command = node.store()
    people = [(f"org_{number % 3}", number) for number in range(30)]
    over = asyncio.Event()
    turns = 0

    async def talk(store: KeyStore, offset: int) -> None:
        nonlocal turns
        while not over.is_set():
            org, user = people[(turns * 7 + offset) % len(people)]
            await node.say(store, org, user)
            words, blob = node.blobs[(turns * 13) % len(node.blobs)]
            store._forget()  # nothing is remembered: each turn unwraps what it needs
            assert open_sealed(await store.by_id(blob[2:18]), PLACE, blob) == words
            turns += 1

    talking = [asyncio.create_task(talk(store, offset)) for store in serving for offset in range(3)]
    rotating = Rotation(command, connection, CLOCK, quiet)
    for _ in range(2):
        await rotating.rotate_keks()
        await rotating.rotate_data_keys("org_1", None)
        await rotating.rotate_root()
        for store in serving:
            await store.keks.look()
    over.set()
    await asyncio.gather(*talking)
    assert turns > 30 and await node.read_all(node.store()) == turns


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
import asyncpg
from axon.base import SystemClock, SystemRandomness
from axon.sealing import Keyring, KeyStore, Rotation, rotation
folder, database, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rotation.AT_ONCE = rotation.PAGE = 3
random = SystemRandomness()
class Killed(Rotation):
    told = 0
async def main():
    keyring = Keyring.open(folder / "keyring.json", random)
    store = KeyStore(folder / "here.db", keyring, SystemClock(), random)
    connection = await asyncpg.connect(database)
    told = 0
    def progress(what, done, total):
        nonlocal told
        told += 1
        if told == steps:
            os.kill(os.getpid(), signal.SIGKILL)
    rotating = Rotation(store, connection, SystemClock(), progress)
    await rotating.rotate_keks()
    await rotating.rotate_root()
    await connection.close()
    await store.close()
asyncio.run(main())
"""


async def test_a_kill_in_the_middle_loses_no_key_and_the_next_one_ends_it(
    node: Node, connection: asyncpg.Connection, database: str, tmp_path: Path
) -> None:
    store = node.store()
    for user in range(10):
        await node.say(store, f"org_{user % 2}", user)
    await store.upload_rest(connection)
    keks_before = int(str(node.query("SELECT count(*) FROM keks")[0][0]))
    for steps in (2, 7, 11):  # organizations' keys, PostgreSQL's, this node's, the root's
        child = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", CHILD, str(tmp_path), database, str(steps)],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=60,
            check=False,
        )
        assert child.returncode == -signal.SIGKILL, steps
        assert await node.read_all(node.store()) == 10
        another = KeyStore(
            tmp_path / f"other-{steps}.db",
            Keyring.open(tmp_path / "keyring.json", RANDOM),
            CLOCK,
            RANDOM,
        )
        for words, blob in node.blobs:  # what PostgreSQL has opens elsewhere, too
            await another.fetch(connection, blob[2:18])
            assert open_sealed(await another.by_id(blob[2:18]), PLACE, blob) == words
        await another.close()
    command = node.store()
    rotating = Rotation(command, connection, CLOCK, quiet)
    unfinished = {note.kind for note in await read_rotations(connection) if not note.ended_us}
    for kind, rotate in (("keks", rotating.rotate_keks), ("root", rotating.rotate_root)):
        assert (await rotate()).resumed is (kind in unfinished)
    assert unfinished != set()
    assert await command.count_lagging() == 0
    newest = await command.keks.newest()
    assert set(await count_by_kek(connection)) == set(newest.values())
    assert await node.read_all(node.store()) == 10
    assert len(node.query("SELECT kek_id FROM keks")) > keks_before
