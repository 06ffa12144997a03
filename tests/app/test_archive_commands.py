"""`axon archive`, its line of the doctor, and its settings."""

import json
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from axon.app.archiving import is_archiving
from axon.app.cli.main import axon
from axon.app.doctor import examine
from axon.app.settings import SettingsWrong, load_settings

OLD = "conv_old"

Run = Callable[..., Result]


@pytest.fixture
async def old(database: str) -> str:
    """A database with a conversation from 1970."""
    connection = await asyncpg.connect(database)
    await connection.execute(f"""
        INSERT INTO conversations.conversations (user_id, id, org_id, created_us, updated_us,
            head_sequence, head_fence, implicit) VALUES (7, '{OLD}', 'org_1', 1, 1, 1, 1, false);
        INSERT INTO conversations.places VALUES (7, '{OLD}', 1, 1, 'chg_1', 1);
        INSERT INTO conversations.items VALUES (7, '{OLD}', 1, 0, 'msg_1', 'chg_1', false,
            'message', 'user', 'completed', 1, 'sealed', 1);
    """)
    await connection.close()
    return database


@pytest.fixture
def run(tmp_path: Path, old: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AXON_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("AXON_DATABASE_URL", old)
    monkeypatch.setenv("AXON_ARCHIVE_URL", str(tmp_path / "objects"))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(axon, ["archive", *words])

    return invoke


def test_a_conversation_goes_and_comes_back_by_command(run: Run, tmp_path: Path) -> None:
    done = run("run")
    assert (
        done.exit_code == 0 and "1 conversations went to the archive, in 1 objects" in done.stdout
    )
    found = json.loads(run("status", "--json").stdout)
    assert (found["conversations"], found["items"], found["objects"]) == (1, 1, 1)
    assert found["archiving"] and found["reachable"]
    assert "90 days" in run("status").stdout
    assert "1 items are back" in run("restore", OLD).stdout
    assert json.loads(run("status", "--json").stdout)["conversations"] == 0
    again = run("restore", OLD)
    assert again.exit_code == 1 and "No such conversation" in str(again.exception)
    assert len(list((tmp_path / "objects").rglob("*.zst"))) == 1, "until a backup needs it no more"


def test_what_cannot_be_reached_is_said_to_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("in the way")
    found = json.loads(run("status", "--json").stdout)
    assert not found["reachable"] and found["reason"]
    assert run("run").exit_code == 1


def test_where_nothing_is_due_ever_the_command_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AXON_ARCHIVE_AFTER_DAYS", "0")
    assert run("run").exit_code == 2
    assert "never" in run("status").stdout


async def test_the_doctor_looks_at_the_archive(tmp_path: Path, database: str) -> None:
    place = tmp_path / "objects"
    variables = {
        "AXON_DATA": str(tmp_path),
        "AXON_DATABASE_URL": database,
        "AXON_ARCHIVE_URL": str(place),
    }

    async def found() -> tuple[str, str]:
        findings = await examine(load_settings(environment=variables))
        [one] = [one for one in findings if one.part == "archive"]
        return one.state, one.seen

    assert await found() == ("ok", "0 conversations, 0.0 MiB")
    place.rmdir()
    place.write_text("in the way")
    assert (await found())[0] == "broken"
    del variables["AXON_ARCHIVE_URL"]
    state, seen = await found()
    assert state == "ok" and "until archive.url" in seen


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AFTER_DAYS", "30"),
        ("AFTER_DAYS", "-1"),
        ("RETENTION_DAYS", "90"),
        ("URL", "ftp://somewhere"),
        ("URL", "relative"),
        ("ENDPOINT", "localhost"),
        ("ACCESS_KEY_ID", "without-its-secret"),
    ],
)
def test_what_cannot_be_an_archive_is_a_mistake(variable: str, value: str) -> None:
    with pytest.raises(SettingsWrong, match="archive"):
        load_settings(environment={f"AXON_ARCHIVE_{variable}": value})


def test_several_nodes_share_no_folder_by_accident() -> None:
    own = {"AXON_DATABASE_URL": "postgresql://db/axon"}
    assert is_archiving(load_settings(environment={}))
    assert not is_archiving(load_settings(environment=own))
    assert is_archiving(load_settings(environment={**own, "AXON_ARCHIVE_URL": "s3://bucket/a"}))
    assert not is_archiving(load_settings(environment={"AXON_ARCHIVE_AFTER_DAYS": "0"}))
