"""Organizations, users and keys, made and revoked by the commands."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from axon.accounts import UnknownAccount, WrongCell
from axon.app.cli.main import axon


class Commands:
    """Runs commands against one database and one data folder."""

    def __init__(self, data: Path, database: str) -> None:
        self._environment = {"AXON_DATA": str(data), "AXON_DATABASE_URL": database}

    def set(self, name: str, value: str) -> None:
        """Have the next commands run with a variable."""
        self._environment[name] = value

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(axon, arguments, env=self._environment)

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        answer = self.run(*arguments, "--json")
        assert answer.exit_code == 0, answer.output
        return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.fixture
def commands(tmp_path: Path, database: str) -> Commands:
    return Commands(tmp_path, database)


def test_a_key_is_made_shown_once_listed_and_revoked(commands: Commands) -> None:
    commands.json("orgs", "create", "acme", "--tier", "pro", "--region", "eu")
    commands.json("users", "create", "ada", "--org", "acme", "--permission", "admin")
    (created,) = commands.json(
        "keys", "create", "--org", "acme", "--user", "ada", "--name", "ci", "--expires", "90d"
    )
    assert created["secret"].startswith("sk-axon-")
    key = created["key"]
    lifetime_us = key["expires_us"] - key["created_us"]
    assert abs(lifetime_us - 90 * 86_400 * 1_000_000) < 60_000_000

    listed = commands.run("keys", "list", "--org", "acme")
    assert created["secret"] not in listed.output
    assert key["credential_id"] in listed.output

    (revoked,) = commands.json("keys", "revoke", key["credential_id"])
    assert revoked["revoked_us"] > 0


def lifetime_days(commands: Commands, *options: str) -> float | None:
    """Return how many days a new key lives; None for one that never ends by itself."""
    (created,) = commands.json("keys", "create", "--org", "acme", "--user", "ada", *options)
    key = created["key"]
    if not key["expires_us"]:
        return None
    days: float = (key["expires_us"] - key["created_us"]) / 86_400_000_000
    return round(days, 1)


def test_a_key_ends_after_the_days_of_the_settings_unless_it_is_told_otherwise(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.json("orgs", "create", "acme")
    commands.json("users", "create", "ada", "--org", "acme")
    assert lifetime_days(commands, "--name", "usual") == 365
    assert lifetime_days(commands, "--name", "short", "--expires", "12h") == 0.5
    assert lifetime_days(commands, "--name", "long", "--expires", "never") is None
    monkeypatch.setenv("AXON_ACCOUNTS_KEY_LIFETIME_DAYS", "30")
    assert lifetime_days(commands, "--name", "of the settings") == 30
    monkeypatch.setenv("AXON_ACCOUNTS_KEY_LIFETIME_DAYS", "0")
    assert lifetime_days(commands, "--name", "old manner") is None
    shown = commands.run("keys", "list", "--org", "acme").output
    assert "Expires" in shown and "never" in shown


def test_a_permission_that_is_none_is_refused_with_those_there_are(commands: Commands) -> None:
    commands.json("orgs", "create", "acme")
    answer = commands.run("users", "create", "ada", "--org", "acme", "--permission", "auditer")
    assert answer.exit_code == 2 and "privacy_officer" in answer.output


def test_organizations_and_users_are_listed(commands: Commands) -> None:
    commands.json("orgs", "create", "acme")
    commands.json("users", "create", "ada", "--org", "acme")
    assert [org["name"] for org in commands.json("orgs", "list")] == ["acme"]
    assert [user["name"] for user in commands.json("users", "list", "--org", "acme")] == ["ada"]
    assert "acme" in commands.run("orgs", "list").output
    assert "ada" in commands.run("users", "list", "--org", "acme").output


def test_who_does_not_exist_is_named_with_the_command_that_lists(commands: Commands) -> None:
    answer = commands.run("users", "list", "--org", "nobody")
    assert isinstance(answer.exception, UnknownAccount)
    assert "axon orgs list" in str(answer.exception)


@pytest.mark.parametrize("lifetime", ["90", "d", "-1d", "1w", "1.5h"])
def test_a_lifetime_that_is_not_understood_is_refused(commands: Commands, lifetime: str) -> None:
    answer = commands.run("keys", "create", "--name", "x", "--expires", lifetime)
    assert answer.exit_code == 2
    assert "90d" in answer.output


def test_migrate_says_what_it_did(commands: Commands) -> None:
    assert "accounts: up to date" in commands.run("migrate").output
    (applied,) = commands.json("migrate")
    assert applied["accounts"] == []


def test_a_cell_makes_what_is_of_its_region_and_knows_others_by_number(commands: Commands) -> None:
    commands.set("AXON_RESIDENCY_REGION", "us")
    (org,) = commands.json("orgs", "create", "acme")
    assert org["region"] == "us"
    refused = commands.run("orgs", "create", "other", "--region", "eu")
    assert isinstance(refused.exception, WrongCell)
    commands.json("users", "create", "olivia", "--org", "acme")
    (created,) = commands.json(
        "keys", "create", "--org", "acme", "--user", "olivia", "--name", "ci", "--acts-for-users"
    )
    assert created["secret"].startswith("sk-axon-us-")
    for name in ("olivia", "nobody-with-a-key"):  # which no hexadecimal number contains
        (home,) = commands.json("users", "place", name, "--org", "acme", "--region", "eu")
        assert home["region"] == "eu" and name not in str(home)
    assert "eu" in commands.run("users", "list", "--org", "acme").output
    commands.json("users", "place", "olivia", "--org", "acme", "--region", "")
    assert "eu" not in commands.run("users", "list", "--org", "acme").output
    commands.set("AXON_RESIDENCY_REGION", "eu")
    wrong = commands.run("orgs", "list")
    assert "of the region us" in str(wrong.exception)
