"""The dashboards ask for what Axon exports, and a real Prometheus has answers."""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from axon.app.reference import DASHBOARDS, dashboard_json, metrics_page
from axon.telemetry import described_metrics
from tests.kafka.real_kafka import free_ports
from tests.observability.conftest import Observed
from tests.observability.test_alert_rules import RULES

GRAFANA = RULES.parents[1] / "grafana"
ENGINES = re.compile(r"(vllm:|DCGM_FI_DEV_)\w+")
METRIC = re.compile(r"\b(?:axon|gen_ai_(?:client|server)|http_server)_\w+")
LABELS = {"gen_ai_request_model", "gen_ai_token_type", "gen_ai_operation_name", "axon_tier"}
NOT_HERE = (
    *("vllm:", "DCGM_"),
    *("axon_retrieval_", "axon_limits_", "axon_alerts_", "axon_flag_evaluations", "axon_flags_ch"),
    *("axon_charged", "axon_telemetry_dropped", "axon_projection_parked"),
)
"""What the scripted run does not cause: an engine of NVIDIA's, and what has to be set up first or
must go wrong. That these exist is checked by their names."""
WAIT_S = 60


def exported() -> set[str]:
    metrics_page()  # imports every role
    names = set()
    for metric in described_metrics():
        names |= {metric.name}
        if metric.kind == "histogram":
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


def queries() -> list[str]:
    return [
        query
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for query, _ in panel.queries
    ]


def test_what_dashboards_and_rules_ask_for_is_exported() -> None:
    texts = [*queries(), *re.findall(r"expr: '(.*)'", RULES.read_text())]
    asked = {name for text in texts for name in METRIC.findall(text)} - LABELS
    assert len(asked) > 30
    assert asked <= exported()


def test_the_files_are_those_of_the_code() -> None:
    assert {path.stem for path in GRAFANA.iterdir()} == {one.name for one in DASHBOARDS}
    for dashboard in DASHBOARDS:
        assert (GRAFANA / f"{dashboard.name}.json").read_bytes() == dashboard_json(dashboard)


class Prometheus:
    """A running one that scrapes an Axon each half second."""

    def __init__(self, program: str, folder: Path, target: str) -> None:
        [self.port] = free_ports(1)
        config = {
            "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {
                    "job_name": "axon",
                    "honor_labels": True,
                    "static_configs": [{"targets": [target]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            [
                *(program, f"--config.file={folder}/prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/data", "--log.level=error"),
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
        )

    def ask(self, query: str) -> list[object]:
        """Return the samples of a query; none while it does not answer."""
        text = urllib.parse.urlencode({"query": query})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{text}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found: list[object] = json.load(answer)["data"]["result"]
                return found
        except OSError:
            return []


@pytest.fixture(scope="module")
def prometheus(
    observed: Observed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: apt install prometheus")
    target = observed.axon.origin.removeprefix("http://")
    running = Prometheus(program, tmp_path_factory.mktemp("prometheus"), target)
    yield running
    running.process.kill()
    running.process.wait()


def run_script(observed: Observed) -> None:
    """Cause what panels show: turns that end well and badly, streams, and a refused key."""
    with observed.axon.sync_client() as client:
        for _ in range(3):
            client.responses.create(model="m", input="[[text:one two three]]")
            for _ in client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "[[delay_ms:5]]"}], stream=True
            ):
                pass
        with pytest.raises(openai.InternalServerError):
            client.responses.create(model="m", input="[[fault:500]]")
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="sk-axon-nobody").models.list()


def test_every_query_has_an_answer_after_a_scripted_run(
    observed: Observed, prometheus: Prometheus
) -> None:
    run_script(observed)  # so that every series is there before it rises
    while not prometheus.ask("axon_turns_total"):
        time.sleep(0.1)
    run_script(observed)
    waiting = [
        query.replace("$__rate_interval", "5m")
        for query in queries()
        if not any(name in query for name in NOT_HERE)
    ]
    assert len(waiting) > 30
    give_up = time.monotonic() + WAIT_S
    while waiting:
        waiting = [query for query in waiting if not prometheus.ask(query)]
        assert time.monotonic() < give_up, waiting
        time.sleep(0.2 if waiting else 0)
