"""`axon keyring`: rotating, destroying, and what `status` and the doctor say of it."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from axon.app.backup.ended import delete_ended
from axon.app.backup.manifest import KEYS_LIVE_US
from axon.app.cli.main import axon
from axon.app.folders import DataFolder
from axon.app.key_roots import open_keys
from axon.app.keyring_backup import last_backup
from axon.app.settings import Settings
from axon.audit import LegalHold
from axon.base import SystemClock, SystemRandomness, user_number
from axon.sealing import KeyGone, Keyring, KeyStore, open_sealed, seal
from tests.sealing.root_servers import FakeVault

RANDOM = SystemRandomness()


@dataclass
class Commands:
    """Runs commands against one database and one data folder."""

    data: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(axon, arguments, env=self.environment)

    def done(self, *arguments: str) -> str:
        answer = self.run(*arguments)
        assert answer.exit_code == 0, f"{answer.output}\n{answer.exception!r}"
        return answer.output

    def json(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.done(*arguments, "--json"))
        return found

    def keyring(self) -> Keyring:
        return Keyring.open(DataFolder(self.data).keyring, RANDOM)

    def store(self) -> KeyStore:
        settings = Settings(data=str(self.data))
        return open_keys(settings, self.keyring(), SystemClock(), RANDOM).store


@pytest.fixture
def commands(tmp_path: Path, database: str) -> Commands:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    return Commands(data, {"AXON_DATA": str(data), "AXON_DATABASE_URL": database})


@pytest.fixture
def vault() -> Iterator[tuple[FakeVault, str]]:
    server = FakeVault()
    with server.serving() as url:
        yield server, url


async def say(commands: Commands, people: list[tuple[str, int]]) -> list[bytes]:
    store = commands.store()
    blobs = [seal(await store.current(*person), b"place", b"words", RANDOM) for person in people]
    await store.close()
    return blobs


async def read(commands: Commands, blobs: list[bytes]) -> int:
    store = commands.store()
    try:
        for blob in blobs:
            key = await store.by_id(blob[2:18])
            assert open_sealed(key, b"place", blob) == b"words"
    finally:
        await store.close()
    return len(blobs)


def test_everything_rotates_and_status_tells_of_it(commands: Commands, tmp_path: Path) -> None:
    acme = commands.json("orgs", "create", "acme")["org_id"]
    ada = user_number(commands.keyring().identity, acme, "ada")
    blobs = asyncio.run(say(commands, [(acme, ada), (acme, 2), ("org_other", 1)]))
    before = commands.json("keyring", "status")
    assert (before["root"], before["root_state"], before["keyring_keys"]) == ("local", "answers", 1)
    assert {one["org_id"]: (one["versions"], one["data_keys"]) for one in before["orgs"]} == {
        acme: (1, 2),
        "org_other": (1, 1),
    }
    assert (before["keyring_backed_up_us"], before["keys_backed_up_us"]) == (0, 0)
    commands.done("keyring", "backup", str(tmp_path / "copy.json"))
    commands.done("backup", "--keys", str(tmp_path))
    assert "1 keys of organizations made" in commands.done(
        "keyring", "rotate", "--kek", "--org", "acme"
    )
    assert "2 keys of organizations made" in commands.done("keyring", "rotate", "--kek")
    found = commands.json("keyring", "status")
    by_org = {one["org_id"]: one for one in found["orgs"]}
    assert [by_org[acme][name] for name in ("versions", "data_keys", "older")] == [3, 2, 0]
    assert {one["kind"] for one in found["rotations"]} == {"keks"}
    assert all(one["ended_us"] for one in found["rotations"])
    assert found["keyring_backed_up_us"] > 0 and found["keys_backed_up_us"] > 0
    assert asyncio.run(read(commands, blobs)) == 3

    assert "1 keys" in commands.done("keyring", "rotate", "--dek", "--org", "acme", "--user", "ada")
    (again,) = asyncio.run(say(commands, [(acme, ada)]))
    assert again[2:18] != blobs[0][2:18]

    assert last_backup(DataFolder(commands.data)) is not None
    said = commands.done("keyring", "rotate", "--root")
    assert re.search(r"5 keys of organizations wrapped anew", said) and "keyring backup" in said
    assert last_backup(DataFolder(commands.data)) is None, "it has to be backed up again"
    assert commands.json("keyring", "status")["keyring_keys"] == 2
    assert asyncio.run(read(commands, [*blobs, again])) == 4
    assert "never" in commands.done("keyring", "status")


def test_keys_move_to_vault_and_back(commands: Commands, vault: tuple[FakeVault, str]) -> None:
    server, url = vault
    blobs = asyncio.run(say(commands, [("org_1", 1), ("org_2", 1)]))
    commands.environment |= {
        "AXON_KEYS_ROOT": "vault",
        "AXON_KEYS_VAULT_URL": url,
        "AXON_KEYS_VAULT_TOKEN": server.token,
        "AXON_KEYS_VAULT_NAMESPACE": "team",
    }
    assert "2 keys" in commands.done("keyring", "rotate", "--root", "--no-new-version")
    assert "2 keys" in commands.done("keyring", "rotate", "--root")
    found = commands.json("keyring", "status")
    assert (found["root"], found["root_version"]) == ("vault:transit/axon", "v2")
    assert {(one["root"], one["root_version"]) for one in found["orgs"]} == {
        ("vault:transit/axon", "v2")
    }
    doctor = [json.loads(line) for line in commands.run("doctor", "--json").stdout.splitlines()]
    (said,) = [one for one in doctor if one["part"] == "root of the keys"]
    assert (said["state"], said["seen"]) == ("ok", "vault:transit/axon")
    server.fault = "failing"
    away = commands.json("keyring", "status")
    assert away["root_state"] == "away" and "sealed" in away["root_reason"]
    assert "sealed" in str(commands.run("keyring", "rotate", "--root").exception)
    doctor = [json.loads(line) for line in commands.run("doctor", "--json").stdout.splitlines()]
    assert [one["state"] for one in doctor if one["part"] == "root of the keys"] == ["broken"]
    server.fault = ""
    commands.environment["AXON_KEYS_ROOT"] = "local"
    commands.done("keyring", "rotate", "--root", "--no-new-version")
    server.fault = "failing"
    assert asyncio.run(read(commands, blobs)) == 2


def test_an_organization_is_destroyed_unless_it_is_held(commands: Commands, database: str) -> None:
    acme = commands.json("orgs", "create", "acme")["org_id"]
    blobs = asyncio.run(say(commands, [(acme, 1), (acme, 2), ("org_other", 1)]))

    async def hold(released_us: int) -> None:
        connection = await asyncpg.connect(database)
        await connection.execute(
            "INSERT INTO audit.holds (hold_id, org_id, user_id, conversation_id, reason, held_us,"
            " released_us) VALUES ('hold_1', $1, 1, '', 'a case', 1, $2)"
            " ON CONFLICT (hold_id) DO UPDATE SET released_us = excluded.released_us",
            acme,
            released_us,
        )
        await connection.close()

    asyncio.run(hold(0))
    refused = commands.run("keyring", "destroy", "--org", "acme", "--yes")
    assert isinstance(refused.exception, LegalHold) and "a case" in str(refused.exception)
    assert asyncio.run(read(commands, blobs)) == 3
    asyncio.run(hold(5))
    assert commands.run("keyring", "destroy", "--org", "acme").exit_code == 1  # nobody said yes
    said = commands.done("keyring", "destroy", "--org", "acme", "--yes")
    assert "2 keys of people of acme" in said and "backups of keys made before end by" in said
    assert asyncio.run(read(commands, blobs[2:])) == 1
    for blob in blobs[:2]:
        with pytest.raises(KeyGone):
            asyncio.run(read(commands, [blob]))
    assert [one["org_id"] for one in commands.json("keyring", "status")["orgs"]] == ["org_other"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--dek"],
        ["--root", "--org", "acme"],
        ["--kek", "--org", "acme", "--user", "ada"],
        ["--kek", "--no-new-version"],
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str]) -> None:
    refused = CliRunner().invoke(axon, ["keyring", "rotate", *arguments])
    assert refused.exit_code == 2 and "--" in refused.output


def test_a_root_that_is_not_set_up_is_refused_with_its_setting(commands: Commands) -> None:
    commands.keyring()
    for root, wanted in (("vault", "keys.vault_url"), ("aws-kms", "keys.aws_region")):
        commands.environment["AXON_KEYS_ROOT"] = root
        assert wanted in str(commands.run("keyring", "status").exception)


def test_backups_of_keys_end_with_the_next_one(commands: Commands, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    asyncio.run(say(commands, [("org_1", 1)]))
    commands.done("backup", "--keys", str(folder))
    commands.done("backup", str(folder))
    (folder / "axon-keys-not-ours.backup").write_text("a note")
    now_us = SystemClock().now_us()
    assert delete_ended(folder, now_us) == []
    (kept,) = folder.glob("axon-keys-2*")
    assert delete_ended(folder, now_us + KEYS_LIVE_US) == [kept]
    assert len(list(folder.iterdir())) == 2
