import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.base import SystemClock, SystemRandomness
from axon.sealing import (
    KeyGone,
    Keyring,
    KeyringRefused,
    KeyStore,
    KeyStoreBusy,
    KeyStoreFailed,
    key_store,
    newcomers,
    open_sealed,
    seal,
)

RANDOM = SystemRandomness()


def open_store(folder: Path, keyring: Keyring) -> KeyStore:
    return KeyStore(folder / "keys.db", keyring, SystemClock(), RANDOM)


@pytest.fixture
async def store(tmp_path: Path, keyring: Keyring) -> AsyncIterator[KeyStore]:
    store = open_store(tmp_path, keyring)
    yield store
    await store.close()


@pytest.fixture
async def other(tmp_path: Path, keyring: Keyring, store: KeyStore) -> AsyncIterator[KeyStore]:
    """Another store on the same file, as another process would have it."""
    other = open_store(tmp_path, keyring)
    yield other
    await other.close()


async def test_a_person_has_one_key(store: KeyStore) -> None:
    assert store.cached("org", 1) is None
    keys = await asyncio.gather(*(store.current("org", 1) for _ in range(50)))
    assert len({id(key) for key in keys}) == 1
    assert store.cached("org", 1) is keys[0] is store.cached_by_id(keys[0].key_id)
    others = [await store.current("org", 2), await store.current("org2", 1)]
    assert len({key.key_id for key in [keys[0], *others]}) == 3


async def test_two_processes_share_it(store: KeyStore, other: KeyStore) -> None:
    people = [("org", user) for user in range(40)]
    ours, theirs = await asyncio.gather(
        asyncio.gather(*(store.current(*person) for person in people)),
        asyncio.gather(*(other.current(*person) for person in reversed(people))),
    )
    assert {key.key_id for key in ours} == {key.key_id for key in theirs}
    blob = seal(ours[0], b"place", b"hello", RANDOM)
    assert open_sealed(await other.by_id(ours[0].key_id), b"place", blob) == b"hello"


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from axon.base import SystemClock, SystemRandomness
from axon.sealing import Keyring, KeyStore
folder = Path(sys.argv[1])
random = SystemRandomness()
async def main():
    keyring = Keyring.open(folder / "keyring.json", random)
    store = KeyStore(folder / "keys.db", keyring, SystemClock(), random)
    key = await store.current("org", 1)
    os.write(1, key.key_id)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def make_a_key_and_die(folder: Path) -> bytes:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    return child.stdout


async def test_a_key_is_durable_before_its_use(tmp_path: Path, keyring: Keyring) -> None:
    for _ in range(3):
        key_id = make_a_key_and_die(tmp_path)
        store = open_store(tmp_path, keyring)
        assert (await store.by_id(key_id)).user == 1
        assert await store.erase("org", 1) == 1  # so that the next child makes a new one
        await store.close()


async def test_the_file_is_synced_in_full(tmp_path: Path, store: KeyStore) -> None:
    settings = {
        name: store._table._sqlite.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "secure_delete")
    }
    assert settings == {"synchronous": 2, "journal_mode": "truncate", "secure_delete": 1}


async def test_erasing_makes_blobs_unreadable_everywhere(
    tmp_path: Path, keyring: Keyring, store: KeyStore, other: KeyStore
) -> None:
    key = await store.current("org", 1)
    kept = await other.current("org", 2)
    assert (await other.current("org", 1)).key_id == key.key_id
    wrapped = store._table.by_id(key.key_id)
    assert wrapped is not None and wrapped.wrapped in (tmp_path / "keys.db").read_bytes()
    assert await store.erase("org", 1) == 1
    for each in (store, other):
        assert each.cached("org", 1) is None and each.cached_by_id(key.key_id) is None
        with pytest.raises(KeyGone):
            await each.by_id(key.key_id)
        assert (await each.by_id(kept.key_id)).user == 2
    for path in tmp_path.iterdir():
        assert wrapped.wrapped not in path.read_bytes()
    fresh = await other.current("org", 1)
    assert fresh.key_id != key.key_id
    assert await store.erase("org", 3) == 0


class ClockSetBack(SystemClock):
    """A clock whose wall time goes backwards by an hour at each reading."""

    def __init__(self) -> None:
        self._now_us = super().now_us()

    def now_us(self) -> int:
        self._now_us -= 3_600_000_000
        return self._now_us

    __slots__ = ("_now_us",)


async def test_a_clock_set_back_neither_saves_nor_erases_a_key(
    tmp_path: Path, keyring: Keyring
) -> None:
    store = KeyStore(tmp_path / "keys.db", keyring, ClockSetBack(), RANDOM)
    old = store._table.by_id((await store.current("org", 1)).key_id)
    await store.erase("org", 1)
    [erasure] = store._table.erasures_to_upload(10)
    fresh = store._table.by_id((await store.current("org", 1)).key_id)
    assert old is not None and fresh is not None
    assert old.created_us <= erasure.erased_us < fresh.created_us
    await store.close()


async def test_memory_is_bounded(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keyring: Keyring
) -> None:
    monkeypatch.setattr(key_store, "KEYS_IN_MEMORY_MAX", 3)
    small = open_store(tmp_path, keyring)
    keys = [await small.current("org", user) for user in range(5)]
    assert [small.cached("org", user) is not None for user in range(5)] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert len(small._cache) == 3
    assert (await small.by_id(keys[0].key_id)).key_id == keys[0].key_id
    assert small.cached("org", 2) is None
    assert (await small.current("org", 2)).key_id == keys[2].key_id
    await small.close()


async def test_newcomers_are_bounded(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "NEWCOMERS_MAX", 2)
    outcomes = await asyncio.gather(
        *(store.current("org", user) for user in range(5)), return_exceptions=True
    )
    assert [isinstance(outcome, KeyStoreBusy) for outcome in outcomes] == [
        False, False, True, True, True,
    ]  # fmt: skip
    assert (await store.current("org", 4)).user == 4


async def test_a_caller_that_goes_away_takes_nobody_along(store: KeyStore) -> None:
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(store.current("org", 1))
        staying = group.create_task(store.current("org", 1))
        await asyncio.sleep(0)
        leaving.cancel()
    assert leaving.cancelled() and staying.result() is store.cached("org", 1)


async def test_a_failing_disk_is_reported_and_passes(
    tmp_path: Path, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._table._sqlite.execute("PRAGMA busy_timeout = 1")
    blocker = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    outcomes = await asyncio.gather(
        store.current("org", 1), store.current("org", 1), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [KeyStoreFailed, KeyStoreFailed]
    blocker.execute("ROLLBACK")
    blocker.close()
    assert (await store.current("org", 1)).user == 1


async def test_the_file_is_private(tmp_path: Path, keyring: Keyring) -> None:
    store = open_store(tmp_path, keyring)
    await store.current("org", 1)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    await store.close()
    (tmp_path / "keys.db").chmod(0o644)
    with pytest.raises(KeyringRefused, match="open to others"):
        open_store(tmp_path, keyring)


async def test_a_damaged_file_is_refused(tmp_path: Path, keyring: Keyring) -> None:
    path = tmp_path / "keys.db"
    path.write_bytes(b"no database" * 1000)
    path.chmod(0o600)
    with pytest.raises(KeyStoreFailed):
        open_store(tmp_path, keyring)


async def test_another_keyring_opens_nothing(
    tmp_path: Path, keyring: Keyring, store: KeyStore
) -> None:
    key = await store.current("org", 1)
    stranger = open_store(tmp_path, Keyring.open(tmp_path / "stranger.json", RANDOM))
    with pytest.raises(KeyringRefused):
        await stranger.by_id(key.key_id)
    with pytest.raises(KeyringRefused):
        await stranger.current("org", 1)
    await stranger.close()
