"""`axon audit` and `axon privacy`, as a person at a terminal uses them."""

import json
import zipfile
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from axon.app.cli.main import axon as commands
from axon.base import AxonError
from tests.gateway.audited import Client, soon
from tests.gateway.conftest import RunningAxon
from tests.gateway.test_audit import ended


@pytest.fixture
def product(axon: RunningAxon) -> Client:
    """The development key, which acts for users, and is an auditor's and an officer's."""
    return Client(axon.base_url, axon.api_key)


def run(axon: RunningAxon, *words: str) -> Result:
    return CliRunner().invoke(commands, [*words], env={"AXON_DATA": str(axon.data)})


def said(axon: RunningAxon, *words: str) -> str:
    done = run(axon, *words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_from_a_search_to_a_reading_to_the_log(axon: RunningAxon, product: Client) -> None:
    turn = product.say("parrot", safety_identifier="terminal-person")["id"]
    product.post("/feedback", response_id=turn, rating="down")
    soon(partial(ended, product, turn))
    asked = ("audit", "search", "--user", "terminal-person", "--since", "2020-01-01")
    soon(lambda: turn in said(axon, *asked, "--feedback", "down"))
    assert turn not in said(axon, *asked, "--until", "2020-01-02")
    assert "parrot" not in said(axon, *asked, "--json")
    shown = said(axon, "audit", "show", turn, "--reason", "complaint 9")
    assert "parrot" in shown and json.loads(shown)["turn"]["id"] == turn
    assert run(axon, "audit", "show", turn).exit_code == 2, "without a reason"
    soon(lambda: "complaint 9" in said(axon, "audit", "log"))
    request = said(axon, "audit", "request", turn, "--reason", "complaint 9").strip()
    refused = run(axon, "audit", "approve", request, "--reason", "by myself")
    assert isinstance(refused.exception, AxonError) and "Somebody else" in str(refused.exception)


def test_every_journal_is_what_it_was(axon: RunningAxon, product: Client) -> None:
    product.say("something to sign")
    verdicts = [json.loads(line) for line in said(axon, "audit", "verify", "--json").splitlines()]
    assert verdicts and all(one["findings"] == [] for one in verdicts)
    assert sum(one["entries"] for one in verdicts) > 1


def test_a_person_is_exported_and_forgotten(
    axon: RunningAxon, product: Client, tmp_path: Path
) -> None:
    turn = product.say("cockatoo", safety_identifier="goes-away")["id"]
    soon(partial(ended, product, turn))
    archive = tmp_path / "data.zip"
    said(axon, "privacy", "export", "goes-away", "--reason", "asked", "--to", str(archive))
    assert archive.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(archive) as opened:
        assert b"cockatoo" in opened.read("index.html")
    assert run(axon, "privacy", "erase", "goes-away", "--reason", "asked").exit_code == 1
    hold = said(axon, "privacy", "hold", "goes-away", "--reason", "lawsuit 8").strip()
    refused = run(axon, "privacy", "erase", "goes-away", "--reason", "asked", "--yes")
    assert "lawsuit 8" in str(refused.exception) and hold in said(axon, "privacy", "holds")
    said(axon, "privacy", "release", hold, "--reason", "settled")
    told = said(axon, "privacy", "erase", "goes-away", "--reason", "asked", "--yes")
    assert "1 keys destroyed in" in told and "audit.turns" in told
    assert "cockatoo" not in said(axon, "audit", "show", turn, "--reason", "is it gone?")
    assert "asked" in said(axon, "privacy", "receipts")
    verified = run(axon, "audit", "verify")
    assert verified.exit_code == 0 and "as it was" in verified.stdout, "the chain still verifies"
