"""The doctor names what is broken and says what to do about it."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from axon.app.cli.main import axon
from axon.app.doctor import Finding, examine
from axon.app.embedded import EmbeddedServer
from axon.app.folders import DataFolder
from axon.app.settings import Settings, load_settings
from axon.app.up import Running
from axon.app.up.running import write_running
from axon.base import SystemRandomness
from axon.sealing import Keyring

NOBODY = "http://127.0.0.1:9/v1"
"""The discard port: nothing listens there."""


def settings(data: Path, **variables: str) -> Settings:
    return load_settings(environment={"AXON_DATA": str(data), **variables})


async def finding(wanted: Settings, part: str) -> Finding:
    findings = await examine(wanted)
    (found,) = [found for found in findings if found.part == part]
    assert found.state == "ok" or found.advice, "a red line says what to do"
    return found


async def test_an_empty_folder_is_told_to_run_axon_up(tmp_path: Path) -> None:
    found = await finding(settings(tmp_path), "postgresql")
    assert (found.state, "axon up" in found.advice) == ("broken", True)


async def test_well_servers_are_found_well(tmp_path: Path, database: str, valkey_url: str) -> None:
    wanted = settings(tmp_path, AXON_DATABASE_URL=database, AXON_VALKEY_URL=valkey_url)
    states = {found.part: found.state for found in await examine(wanted)}
    assert (states["postgresql"], states["valkey"]) == ("ok", "ok")


async def test_a_postgres_that_is_away_is_named(
    tmp_path: Path, database: str, postgres_server: EmbeddedServer
) -> None:
    postgres_server.kill()
    found = await finding(settings(tmp_path, AXON_DATABASE_URL=database), "postgresql")
    assert found.state == "broken"
    assert "AXON_DATABASE_URL" in found.advice


async def test_a_missing_migration_is_named_with_its_command(tmp_path: Path, database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM axon_migrations WHERE room = 'accounts'")
    await connection.close()
    found = await finding(settings(tmp_path, AXON_DATABASE_URL=database), "postgresql")
    assert (found.state, found.advice) == ("broken", "axon migrate")


async def test_a_model_without_a_price_is_a_warning(tmp_path: Path, database: str) -> None:
    (tmp_path / "axon.toml").write_text(
        '[[models.small.upstreams]]\nname = "engine"\nbase_url = "http://127.0.0.1:1/v1"\n'
    )
    variables = {
        "AXON_CONFIG": str(tmp_path / "axon.toml"),
        "AXON_DATA": str(tmp_path),
        "AXON_DATABASE_URL": database,
    }
    asked = load_settings(environment=variables)
    found = await finding(asked, "prices")
    assert (found.state, found.seen) == ("warning", "small: it has no price now")
    words = ["prices", "set", "small", "--input", "1", "--output", "2"]
    set_price = await asyncio.to_thread(CliRunner().invoke, axon, words, env=variables)
    assert set_price.exit_code == 0
    assert (await finding(asked, "prices")).state == "ok"


async def test_a_valkey_that_is_away_is_named(tmp_path: Path) -> None:
    wanted = settings(tmp_path, AXON_VALKEY_URL=f"unix://{tmp_path}/nothing.sock")
    found = await finding(wanted, "valkey")
    assert (found.state, "AXON_VALKEY_URL" in found.advice) == ("broken", True)


async def test_an_upstream_that_does_not_answer_is_named(tmp_path: Path) -> None:
    found = await finding(settings(tmp_path, AXON_UPSTREAM_URL=NOBODY), "upstream upstream")
    assert (found.state, "base_url" in found.advice) == ("broken", True)


async def test_the_upstream_of_a_running_axon_up_is_asked(tmp_path: Path) -> None:
    ended = {"serving": [1]}
    running = Running(pid=1, base_url=NOBODY, pids=ended, upstream_url=NOBODY)
    write_running(DataFolder(tmp_path), running)
    found = await finding(settings(tmp_path), "upstream upstream")
    assert (found.state, NOBODY in found.seen) == ("broken", True)


async def test_a_folder_others_can_read_is_mended_by_using_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert (await finding(settings(tmp_path), "data folder")).state == "ok"
    assert tmp_path.stat().st_mode & 0o777 == 0o700


async def test_a_keyring_without_a_backup_is_warned_of(tmp_path: Path) -> None:
    Keyring.open(DataFolder(tmp_path).keyring, SystemRandomness())
    found = await finding(settings(tmp_path), "keyring")
    assert (found.state, "axon keyring backup" in found.advice) == ("warning", True)


async def test_a_damaged_keyring_is_named(tmp_path: Path) -> None:
    DataFolder(tmp_path).keyring.write_text("{}")
    DataFolder(tmp_path).keyring.chmod(0o600)
    assert (await finding(settings(tmp_path), "keyring")).state == "broken"


async def test_a_damaged_journal_is_named_with_the_command_that_salvages(tmp_path: Path) -> None:
    broken = DataFolder(tmp_path).journals / "node-serving"
    broken.mkdir(parents=True)
    found = await finding(settings(tmp_path), "journal node-serving")
    assert (found.state, "axon journal salvage" in found.advice) == ("broken", True)


async def test_a_full_disk_is_named(tmp_path: Path) -> None:
    wanted = settings(tmp_path, AXON_JOURNAL_LOW_WATER_BYTES=str(1 << 60))
    assert (await finding(wanted, "disk")).state == "broken"


def test_the_exit_code_is_1_when_something_is_broken(tmp_path: Path) -> None:
    answer = CliRunner().invoke(axon, ["doctor", "--data", str(tmp_path), "--json"])
    assert answer.exit_code == 1
    findings = [json.loads(line) for line in answer.stdout.splitlines()]
    assert "broken" in {found["state"] for found in findings}


def test_the_report_shows_the_advice(tmp_path: Path) -> None:
    answer = CliRunner().invoke(axon, ["doctor", "--data", str(tmp_path)])
    assert "→ Start `axon up`, or set AXON_DATABASE_URL." in answer.output


@pytest.fixture(autouse=True)
def _no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
