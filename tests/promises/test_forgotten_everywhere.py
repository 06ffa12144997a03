"""Who is erased cannot be read in any store, journal, object or backup; everybody else can."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
import zstandard
from click.testing import CliRunner
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from axon.app.cli.main import axon as commands
from axon.app.embedded import EmbeddedPostgres, EmbeddedValkey
from axon.app.folders import DataFolder
from axon.base import SystemClock, SystemRandomness
from axon.sealing import Keyring, KeyStore, item_context, key_id_of
from axon.stores import Valkey
from tests.app.test_backup_running import until_projected
from tests.gateway.audited import Client, client_of, soon
from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon, start_axon, stop

HEADER_BYTES = 34
"""Of a sealed blob, behind which its ciphertext begins; the nonce is its last part."""
NONCE_BYTES = 12

LONG_AGO_US = 100 * 86_400_000_000
ADA, BOB = "ada", "bob"

_SEALED = """
SELECT user_id, conversation_id, turn_id, item_id, blob FROM conversations.items
UNION ALL SELECT user_id, conversation_id, id, 'answer', answer FROM conversations.turns
    WHERE answer IS NOT NULL
UNION ALL SELECT user_id, conversation_id, turn_id, 'events', events FROM conversations.turn_events
"""


class Sealed(NamedTuple):
    """A blob, and what it is bound to."""

    user: int
    context: bytes
    blob: bytes


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The object store of both installations."""
    place = tmp_path / "objects"
    monkeypatch.setenv("AXON_ARCHIVE_URL", str(place))
    return place


def run(data: Path, *words: str) -> str:
    done = CliRunner().invoke(commands, [*words], env={"AXON_DATA": str(data)})
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.stdout


def asked(running: RunningAxon, sql: str, *arguments: object) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(EmbeddedPostgres(running.data).url())
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    return asyncio.run(ask())


def talk(product: Client, user: str) -> tuple[str, str]:
    """Have a person say the same in two conversations; return them."""
    names = []
    for _ in range(2):
        name = product.post("/conversations", safety_identifier=user)["id"]
        for number in range(2):
            text = canary(user, number)
            product.say(text, conversation=name, safety_identifier=user, stream=False)
        names.append(name)
    return names[0], names[1]


def canary(user: str, number: int = 0) -> str:
    return f"the-canary-of-{user}-{number}"


def keys_left(data: Path) -> list[AESGCM]:
    """Return every data key that is anywhere and can be unwrapped."""
    path, randomness = DataFolder(data).key_store, SystemRandomness()
    keyring = Keyring.open(DataFolder(data).keyring, randomness)
    with sqlite3.connect(path) as connection:
        ids = [row[0] for row in connection.execute("SELECT key_id FROM data_keys")]

    async def opened() -> list[AESGCM]:
        keys = KeyStore(path, keyring, SystemClock(), randomness)
        try:
            return [(await keys.by_id(key_id)).cipher for key_id in ids]
        finally:
            await keys.close()

    return asyncio.run(opened())


def can_be_read(sealed: Sealed, keys: list[AESGCM]) -> bool:
    """Return whether any of the keys opens it, whatever key it says it is of."""
    header, body = sealed.blob[:HEADER_BYTES], sealed.blob[HEADER_BYTES:]
    for key in keys:
        try:
            key.decrypt(header[-NONCE_BYTES:], body, header + sealed.context)
        except InvalidTag:
            continue
        return True
    return False


async def _windows(data: Path, names: list[str]) -> bytes:
    valkey = Valkey(EmbeddedValkey(data).url(), 1000)
    await valkey.start()
    try:
        found = [await valkey.call("LRANGE", f"{{{name}}}:t", 0, -1) for name in names]
    finally:
        await valkey.stop()
    lists: list[Any] = [one for one in found if isinstance(one, list)]
    return b"".join(piece for pieces in lists for piece in pieces)


def files_in(folder: Path) -> bytes:
    """Return what lies in a folder, as a thief of the disk has it."""
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def unpacked(objects: Path) -> bytes:
    """Return what is in the archive's objects: any zstd reads them."""
    plain = []
    for path in sorted(objects.rglob("*.zst")):
        reader = zstandard.ZstdDecompressor().stream_reader(
            path.read_bytes(), read_across_frames=True
        )
        plain.append(reader.read())
    return b"\0".join(plain)


class Stores:
    """Everything that holds what people said."""

    def __init__(self, running: RunningAxon, names: list[str], archive: Path, backup: Path) -> None:
        asked(running, "CHECKPOINT")
        compressed = zstandard.ZstdDecompressor().stream_reader(backup.read_bytes())
        self.bytes = {
            "valkey": asyncio.run(_windows(running.data, names)),
            "postgresql": files_in(running.data / "postgres"),
            "journal": files_in(running.data / "journal"),
            "archive": unpacked(archive),
            "backup": compressed.read(),
            "everything else": b"\0".join([
                files_in(running.data / "logs"), files_in(running.data / "states"),
                *(path.read_bytes() for path in running.data.iterdir() if path.is_file()),
            ]),
        }  # fmt: skip

    def holding(self, blobs: list[Sealed]) -> dict[str, list[Sealed]]:
        """Return which of the blobs each store has, byte for byte: one pass for all of them."""
        by_header = {one.blob[:HEADER_BYTES]: one for one in blobs}
        [key_id] = {key_id_of(one.blob) for one in blobs}
        before = blobs[0].blob.index(key_id)
        found: dict[str, list[Sealed]] = {name: [] for name in self.bytes}
        for name, content in self.bytes.items():
            place = content.find(key_id)
            while place >= 0:
                start = place - before
                one = by_header.get(content[start : start + HEADER_BYTES])
                if one is not None and content.startswith(one.blob, start):
                    found[name].append(one)
                place = content.find(key_id, place + 1)
        return found

    def saying(self, text: str) -> list[str]:
        return [name for name, content in self.bytes.items() if text.encode() in content]


Restored = Callable[[RunningAxon, list[Path]], RunningAxon]


@pytest.fixture
def restored(
    tmp_path: Path,
    database: str,
    valkey_url: str,
    upstream_address: str,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Restored]:
    """Puts backups into a fresh Axon with the keyring of another, and runs it."""
    started = []

    def restore(other: RunningAxon, backups: list[Path]) -> RunningAxon:
        fresh = tmp_path / "fresh"
        fresh.mkdir(mode=0o700)
        shutil.copy(DataFolder(other.data).keyring, fresh)
        monkeypatch.setenv("AXON_DATABASE_URL", database)
        monkeypatch.setenv("AXON_VALKEY_URL", valkey_url)
        for backup in backups:
            run(fresh, "restore", str(backup))
        process, running = start_axon(fresh, upstream_address)
        started.append(process)
        return running

    yield restore
    for process in started:
        stop(process)


@pytest.fixture
def running(tmp_path: Path, archive: Path, upstream_address: str) -> Iterator[RunningAxon]:
    process, running = start_axon(tmp_path / "data", upstream_address)
    yield running
    stop(process)


def test_an_erased_person_is_unreadable_in_every_store_and_every_restored_backup(
    running: RunningAxon, restored: Restored, tmp_path: Path, archive: Path
) -> None:
    product, officer = people(running)
    cold_ada, warm_ada = talk(product, ADA)
    cold_bob, warm_bob = talk(product, BOB)
    names = [cold_ada, warm_ada, cold_bob, warm_bob]
    until_projected(running)
    of = {ADA: sealed_of(running, cold_ada), BOB: sealed_of(running, cold_bob)}
    asked(
        running, "UPDATE conversations.conversations SET created_us = created_us - $1,"
        " updated_us = updated_us - $1 WHERE id = ANY($2)", LONG_AGO_US, [cold_ada, cold_bob],
    )  # fmt: skip
    run(running.data, "archive", "run")  # or the scheduler does, if it looks just now
    soon(lambda: axon_command(running, "archive", "status")["conversations"] == 2)
    backup, keys_before, keys_after = (tmp_path / name for name in ("content", "early", "late"))
    run(running.data, "backup", str(backup))
    run(running.data, "backup", "--keys", str(keys_before))

    before = Stores(running, names, archive, backup)
    keys = keys_left(running.data)
    for person, blobs in of.items():
        held = before.holding(blobs)
        for store in ("valkey", "postgresql", "journal", "archive", "backup"):
            assert held[store], f"{store} has nothing of {person}: nothing would be proven"
        assert all(can_be_read(one, keys) for one in blobs), "while the keys are there"
    answer = officer.post("/privacy/erase", user=ADA, reason="asked for it")["receipt"]
    stores = {one["store"]: one for one in answer["stores"]}
    assert stores["object store: frames"]["count"] == 1
    print(f"forgotten in {answer['took_ms']} ms: {answer['keys']} keys")

    run(running.data, "backup", "--keys", str(keys_after))
    after = Stores(running, names, archive, backup)
    keys = keys_left(running.data)
    tried = sum(len(blobs) for blobs in after.holding(of[ADA]).values())
    assert tried, "sealed bytes stay for a while, in backups and on disks"
    assert not [one for one in of[ADA] if can_be_read(one, keys)]
    assert after.saying(canary(ADA)[:-1]) == [], "nothing was ever written in clear"
    assert all(can_be_read(one, keys) for one in of[BOB])
    print(f"unreadable: {tried} of {tried} places, with each of {len(keys)} keys")
    demand(product, [cold_ada, warm_ada], [cold_bob, warm_bob])

    there = restored(running, [backup, keys_after, keys_before])
    assert not [one for one in of[ADA] if can_be_read(one, keys_left(there.data))]
    demand(Client(there.base_url, product.key), [cold_ada, warm_ada], [cold_bob, warm_bob])


def people(running: RunningAxon) -> tuple[Client, Client]:
    """Return the back end of a product, and a privacy officer."""
    axon_command(running, "orgs", "create", "forgetful")
    of_it = ("--org", "forgetful", "--user", "backend")
    axon_command(running, "users", "create", "backend", *of_it[:2])
    made = axon_command(running, "keys", "create", *of_it, "--name", "a", "--acts-for-users")
    product = Client(running.base_url, str(made["secret"]))
    return product, client_of(running, "forgetful", "petra", "privacy_officer")


def sealed_of(running: RunningAxon, conversation: str) -> list[Sealed]:
    """Return every blob of the person whose conversation it is."""
    [(user, org)] = asked(
        running, "SELECT user_id, org_id FROM conversations.conversations WHERE id = $1",
        conversation,
    )  # fmt: skip
    rows = asked(running, f"SELECT * FROM ({_SEALED}) AS sealed WHERE user_id = $1", user)
    found = [Sealed(user, item_context(org, user, *row[1:4]), row["blob"]) for row in rows]
    assert len(found) >= 8 and len({key_id_of(one.blob) for one in found}) == 1
    return found


def demand(product: Client, unreadable: list[str], readable: list[str]) -> None:
    """Ask for everything, as the product does."""
    for name in unreadable:
        status, found = product.ask("GET", f"/conversations/{name}/items")
        assert canary(ADA)[:-1] not in str(found), status
        assert status == 404 or found["data"] == []
    for name in readable:
        found = product.get(f"/conversations/{name}/items?order=asc")
        said = [part["text"] for item in found["data"] for part in item["content"]]
        assert len(said) == 4 and all(canary(BOB)[:-1] in text for text in said), said
