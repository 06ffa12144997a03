"""Webhooks and alerts administered by the commands; nothing is sent from here."""

from pathlib import Path

import pytest

from tests.app.test_accounts_commands import Commands

URL = "https://10.1.2.3/hook"


@pytest.fixture
def commands(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Commands:
    monkeypatch.setenv("AXON_ALERTS_ALLOWED_NETWORKS", "10.1.0.0/16")
    found = Commands(tmp_path, database)
    found.json("orgs", "create", "acme")
    return found


def test_a_webhook_is_added_listed_and_removed_and_its_secret_shown_once(
    commands: Commands,
) -> None:
    (made,) = commands.json("webhooks", "add", URL, "--org", "acme")
    assert made["secret"].startswith("whsec_") and made["url"] == URL
    (listed,) = commands.json("webhooks", "list")
    assert listed["endpoint_id"] == made["endpoint_id"] and "secret" not in listed
    assert commands.run("webhooks", "remove", made["endpoint_id"]).exit_code == 0
    assert "it was removed" in commands.run("webhooks", "list").stdout
    assert commands.run("webhooks", "remove", made["endpoint_id"]).exit_code != 0


@pytest.mark.parametrize("url", ["http://10.1.2.3/", "https://10.2.0.1/", "https://127.0.0.1/"])
def test_an_address_of_this_network_is_refused(commands: Commands, url: str) -> None:
    assert commands.run("webhooks", "add", url).exit_code != 0
    assert commands.json("webhooks", "list") == []


def test_a_test_alert_is_listed_with_its_deliveries_and_sent_again(commands: Commands) -> None:
    (made,) = commands.json("webhooks", "add", URL)
    alert = commands.run("alerts", "test", "--org", "acme").stdout.strip()
    (raised,) = commands.json("alerts", "list", "--org", "acme")
    assert (raised["alert_id"], raised["kind"]) == (alert, "alert.test")
    assert raised["data"]["message"]
    (delivery,) = commands.json("alerts", "deliveries", alert)
    assert (delivery["endpoint_id"], delivery["state"]) == (made["endpoint_id"], "waiting")
    again = commands.run("alerts", "redeliver", alert, "--webhook", made["endpoint_id"])
    assert again.exit_code == 0 and "1 webhooks" in again.stdout
    assert commands.run("alerts", "redeliver", "alert_unknown").exit_code != 0
    for words in (("alerts", "list"), ("alerts", "deliveries")):
        assert alert in commands.run(*words).stdout
