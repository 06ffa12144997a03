"""`axon redact`, and the settings it shares with what is hidden from models."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from axon.app.cli.redact import redact
from axon.app.settings import SettingsWrong, load_settings

SETTINGS = """
[privacy.patterns]
customer = "ACME-[0-9]{6}"
[privacy.orgs.org_1]
engine_input = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "axon.toml"
    path.write_text(SETTINGS)
    return path


def _run(config: Path, *arguments: str, stdin: str | None = None) -> str:
    run = CliRunner().invoke(redact, [*arguments, "--config", str(config)], input=stdin)
    assert run.exit_code == 0, run.output
    return run.stdout


def test_a_text_is_shown_without_what_is_hidden(config: Path) -> None:
    assert _run(config, "To jane@example.com, ACME-123456") == "To [email], [customer]\n"
    assert _run(config, "--org", "org_1", "ACME-123456") == "ACME-123456\n"
    assert _run(config, "--names", "jane@example.com") == "[EMAIL_1]\n"


def test_stdin_and_json(config: Path) -> None:
    told = json.loads(_run(config, "--json", "--names", stdin="é jane@example.com\n"))
    assert told == {
        "text": "é [EMAIL_1]\n",
        "found": [{"kind": "email", "start": 3, "end": 19}],
        "names": {"[EMAIL_1]": "jane@example.com"},
    }


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ('[privacy.patterns]\nmine = "a+"', "privacy.patterns "),
        ('[privacy.orgs.org_1.patterns]\nmine = "["', "privacy.orgs.org_1.patterns "),
        ('[safety]\nlevel = "none"', "safety.level "),
        ("[safety.levels.strict]\nendpoint = true", "safety.levels.strict.endpoint "),
        ('[safety]\nrules = "/none"\n[safety.levels.a]', "safety.rules "),
        ('[safety.levels.a]\ninput = "burn"', "safety.levels.a.input "),
    ],
)
def test_settings_that_cannot_be_are_named(tmp_path: Path, settings: str, mistake: str) -> None:
    path = tmp_path / "axon.toml"
    path.write_text(settings)
    with pytest.raises(SettingsWrong) as caught:
        load_settings(path, {})
    [found] = caught.value.mistakes
    assert found.startswith(mistake)
