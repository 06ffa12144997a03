"""The alert rules: promtool knows them as right, each fires, and each has its runbook."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.observability.conditions import CONDITIONS

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "observability" / "prometheus" / "rules.yml"
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt install prometheus prometheus-alertmanager")
    return found


def checked(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_files_are_right() -> None:
    folder = RULES.parent
    assert f"{len(ALERTS)} rules" in checked(tool("promtool"), "check", "rules", str(RULES))
    checked(tool("promtool"), "check", "config", str(folder / "prometheus.yml"))
    alertmanager = folder.parent / "alertmanager" / "alertmanager.yml"
    checked(tool("amtool"), "check-config", str(alertmanager))


def test_each_alert_has_a_section_of_the_runbooks_and_a_condition() -> None:
    text = (ROOT / "docs" / "runbooks.md").read_text()
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == ALERTS
    links = re.findall(r"runbook_url: docs/runbooks.md#(\w+)", RULES.read_text())
    assert links == [alert.lower() for alert in ALERTS]
    assert [condition.alert for condition in CONDITIONS] == ALERTS


@pytest.mark.parametrize("instant", ["before", "then"])
def test_each_alert_fires_when_its_condition_has_held_and_not_without(
    tmp_path: Path, instant: str
) -> None:
    """promtool compares labels, so it is asked for the series ALERTS instead, which is there."""
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values if instant == "then" else "_x100"}
                for series, values in condition.series
            ],
            "promql_expr_test": [
                {
                    "expr": f"count(ALERTS{{alertname='{condition.alert}',alertstate='firing'}})",
                    "eval_time": condition.at,
                    "exp_samples": [{"labels": "{}", "value": 1}] if instant == "then" else [],
                }
            ],
        }
        for condition in CONDITIONS
    ]
    file = tmp_path / "test.yml"
    wanted = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(wanted))  # JSON is YAML
    checked(tool("promtool"), "test", "rules", str(file))
