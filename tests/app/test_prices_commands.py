"""Prices set, listed, imported, checked and applied again by the commands."""

from pathlib import Path

import pytest

from tests.app.test_accounts_commands import Commands


@pytest.fixture
def commands(tmp_path: Path, database: str) -> Commands:
    return Commands(tmp_path, database)


def test_a_price_is_set_to_the_nano_unit_and_ends_the_one_before(commands: Commands) -> None:
    words = ("prices", "set", "small", "--output", "2", "--from", "2026-01-01", "--input")
    commands.json(*words, "0.000000001", "--tier", "200000:5:15", "--cached", "0")
    (changed,) = commands.json("prices", "set", "small", "--input", "0.5", "--output", "2")
    assert changed["ends"]["rates"]["input"] == 1
    first, second = commands.json("prices", "list")
    assert first["effective_from_us"] == 1_767_225_600_000_000
    assert first["effective_to_us"] == second["effective_from_us"]
    assert first["rates"]["cache_read"] == 0 and second["rates"]["cache_read"] is None
    assert first["tiers"][0] == {
        "above_input_tokens": 200_000,
        "rates": {
            "input": 5 * 10**9, "cache_read": None, "cache_write": None,
            "output": 15 * 10**9, "reasoning": None,
        },
    }  # fmt: skip
    assert "0.000000001" in commands.run("prices", "list").stdout


def test_an_organizations_own_price_is_named_by_the_organization(commands: Commands) -> None:
    (org,) = commands.json("orgs", "create", "acme")
    words = ("prices", "set", "small", "--input", "1", "--output", "2", "--org", "acme")
    (changed,) = commands.json(*words)
    assert changed["price"]["org_id"] == org["org_id"]
    assert commands.json(*words) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--input", "0.0000000001", "--output", "1"),
        ("--input", "-1", "--output", "1"),
        ("--input", "nan", "--output", "1"),
        ("--input", "1", "--output", "1", "--tier", "many:1:1"),
        ("--input", "1", "--output", "1", "--from", "yesterday"),
    ],
)
def test_what_is_no_amount_or_time_is_a_usage_error(
    commands: Commands, words: tuple[str, ...]
) -> None:
    assert commands.run("prices", "set", "small", *words).exit_code == 2


def test_an_import_is_shown_before_it_is_done_and_done_once(commands: Commands) -> None:
    words = ("prices", "import", "--models", "long=openai/gpt-5.4,no-such-model")
    shown = commands.run(*words)
    assert "no-such-model" in shown.output and commands.json("prices", "list") == []
    (done,) = commands.json(*words, "--apply")
    assert done["price"]["source"].startswith("genai-prices ")
    (tier,) = done["price"]["tiers"]
    assert tier["above_input_tokens"] == 272_000
    assert tier["rates"]["input"] == 2 * done["price"]["rates"]["input"]
    assert commands.json(*words, "--apply") == []


def test_the_check_ends_with_1_when_there_is_something_to_say(commands: Commands) -> None:
    assert commands.run("prices", "check").exit_code == 0
    words = ("prices", "set", "small", "--input", "1", "--output", "1", "--to", "2999-01-01")
    commands.json(*words)
    checked = commands.run("prices", "check")
    assert checked.exit_code == 1 and "none follows it" in checked.output


def test_usage_of_nothing_is_nothing(commands: Commands) -> None:
    assert commands.json("usage", "--by", "month") == []
    assert commands.run("usage", "--user", "ada").exit_code == 2
    assert commands.json("prices", "rerate", "--from", "2026-01-01", "--apply") == []
