"""Limits set and listed by the commands."""

from pathlib import Path

import pytest

from tests.app.test_accounts_commands import Commands

MONEY = ("--measure", "money", "--currency", "USD", "--period", "month")
TOKENS = ("--measure", "tokens", "--period", "day")


@pytest.fixture
def commands(tmp_path: Path, database: str) -> Commands:
    return Commands(tmp_path, database)


def test_a_budget_is_given_and_shown_in_units_of_its_currency(commands: Commands) -> None:
    (made,) = commands.json("limits", "set", "usd", *MONEY, "--amount", "2500.5", "--grace", "10")
    assert (made["amount"], made["grace"]) == (2500 * 10**9 + 5 * 10**8, 10 * 10**9)
    shown = commands.run("limits", "list").stdout
    assert "2,500.50 USD" in shown and "10.00 USD" in shown


def test_what_is_no_money_is_counted_whole(commands: Commands) -> None:
    (made,) = commands.json("limits", "set", "daily", *TOKENS, "--amount", "5000000")
    assert made["amount"] == 5_000_000
    assert "5,000,000" in commands.run("limits", "list").stdout


@pytest.mark.parametrize(
    "words",
    [
        (*TOKENS, "--amount", "0.5"),
        (*TOKENS, "--amount", "5", "--grace", "0.5"),
        (*TOKENS, "--amount", "-1"),
        (*MONEY, "--amount", "0.0000000001"),
        (*MONEY, "--amount", "much"),
        (*TOKENS, "--amount", "1", "--user", "ada"),
    ],
)
def test_what_is_no_amount_is_a_usage_error(commands: Commands, words: tuple[str, ...]) -> None:
    assert commands.run("limits", "set", "wrong", *words).exit_code == 2


def test_a_tier_has_a_share_of_the_queue(commands: Commands) -> None:
    (made,) = commands.json("tiers", "set", "gold", "--description", "first", "--share", "40")
    assert made == {"name": "gold", "description": "first", "share": 40}
    shown = commands.run("tiers", "list").stdout
    assert "40%" in shown and "50%" in shown  # enterprise has one from the beginning
    too_much = commands.run("tiers", "set", "silver", "--share", "1")
    assert too_much.exit_code == 1 and "90%" in str(too_much.exception)


def test_a_tier_is_removed_with_its_limits(commands: Commands) -> None:
    commands.json("tiers", "set", "trial")
    commands.json("limits", "set", "trial-daily", *TOKENS, "--amount", "10", "--tier", "trial")
    commands.json("orgs", "create", "acme", "--tier", "trial")
    refused = commands.run("tiers", "remove", "trial")
    assert refused.exit_code == 1 and "1 in trial" in str(refused.exception)
    mistyped = commands.run("orgs", "create", "other", "--tier", "trail")
    assert mistyped.exit_code == 1 and "no such tier" in str(mistyped.exception)
    commands.json("tiers", "set", "later")
    commands.json("limits", "set", "later-daily", *TOKENS, "--amount", "10", "--tier", "later")
    (removed,) = commands.json("tiers", "remove", "later")
    assert removed["rule_id"] == "later-daily"
    assert "later" not in commands.run("tiers", "list").stdout


def test_overage_may_cost_more(commands: Commands) -> None:
    words = ("limits", "set", "more", *TOKENS, "--amount", "10", "--overage-percent", "25")
    (made,) = commands.json(*words, "--kind", "overage")
    assert (made["kind"], made["overage_percent"]) == ("overage", 25)
    assert "+25%" in commands.run("limits", "list").stdout
    assert "has a price" in str(commands.run(*words).exception)
