"""The dashboards ask for what Axon exports, and a real Prometheus has answers."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from axon.app.reference import DASHBOARDS, dashboard_json, metrics_page
from axon.telemetry import described_metrics
from tests.kafka.real_kafka import free_ports
from tests.observability import script
from tests.observability.conftest import Observed
from tests.observability.test_alert_rules import RULES, tool

GRAFANA = RULES.parents[1] / "grafana"
ENGINES = re.compile(r"(vllm:|DCGM_FI_DEV_)\w+")
METRIC = re.compile(r"\b(?:axon|gen_ai_(?:client|server)|http_server)_\w+")
LABELS = {"gen_ai_request_model", "gen_ai_token_type", "gen_ai_operation_name", "axon_tier"}
WAIT_S = 60

FAILING = 3
"""More than one in twenty of all turns of the script, also as rates of few scrapes say it."""


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


@dataclass(frozen=True, slots=True)
class Targets:
    """What a Prometheus is told of: addresses and paths by their job, and whom to tell."""

    scraped: dict[str, tuple[str, str]]
    alertmanager: str


class Prometheus:
    """A running one that scrapes its targets each half second."""

    def __init__(self, program: str, folder: Path, targets: Targets) -> None:
        [self.port] = free_ports(1)
        config = {
            "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
            "rule_files": [str(RULES)],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [targets.alertmanager]}]}]
            },
            "scrape_configs": [
                {
                    "job_name": job,
                    "honor_labels": True,
                    "metrics_path": path,
                    "static_configs": [{"targets": [address]}],
                }
                for job, (address, path) in targets.scraped.items()
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


class Hook(ThreadingHTTPServer):
    """Whom Alertmanager tells; keeps the paths and the names of the alerts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Told)
        self.told: set[tuple[str, str]] = set()


class _Told(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = self.server
        assert isinstance(hook, Hook)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        hook.told |= {(self.path, alert["labels"]["alertname"]) for alert in body["alerts"]}
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def prometheus(
    observed: Observed, hook: Hook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus, and an Alertmanager with our example that tells `hook` without waiting."""
    folder = tmp_path_factory.mktemp("prometheus")
    programs = tool("prometheus"), tool("prometheus-alertmanager")
    text = (RULES.parents[1] / "alertmanager" / "alertmanager.yml").read_text()
    text = text.replace("127.0.0.1:9099", f"127.0.0.1:{hook.server_port}")
    (folder / "alertmanager.yml").write_text(text.replace("group_wait: 30s", "group_wait: 0s"))
    [port] = free_ports(1)
    alertmanager = subprocess.Popen(
        [
            *(programs[1], f"--config.file={folder}/alertmanager.yml", "--cluster.listen-address="),
            *(f"--storage.path={folder}/alerts", "--log.level=error"),
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    )
    beside = observed.exporters.address
    scraped = {
        "axon": (observed.axon.origin.removeprefix("http://"), "/metrics"),
        "vllm": (beside, "/metrics"),
        "dcgm": (beside, "/dcgm"),
    }
    running = Prometheus(programs[0], folder, Targets(scraped, f"127.0.0.1:{port}"))
    yield running
    for process in (running.process, alertmanager):
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def watched(observed: Observed, prometheus: Prometheus) -> Prometheus:
    """Prometheus, which has scraped Axon before and after everything happened."""
    script.set_up(observed)
    script.run(observed)  # so that every series is there before it rises
    until(lambda: all(prometheus.ask(query) for query in CAUSED if "rate(" in query))
    script.renew_scheduler(observed)
    script.run(observed)
    return prometheus


def test_every_query_of_every_dashboard_has_an_answer_after_a_scripted_run(
    watched: Prometheus,
) -> None:
    waiting = [query.replace("$__rate_interval", "5m") for query in queries()]
    assert len(waiting) > 70
    give_up = time.monotonic() + WAIT_S
    while waiting:
        waiting = [query for query in waiting if not watched.ask(query)]
        assert time.monotonic() < give_up, waiting
        time.sleep(0.2 if waiting else 0)


CAUSED = (
    "sum(rate(axon_http_requests_total{status=~'5..'}[5m]))",
    "sum(rate(axon_limits_refused_total{measure='requests'}[5m]))",
    "sum(rate(axon_limits_exceeded_total{kind='soft'}[5m]))",
    "sum(rate(axon_charged_total{currency='USD'}[5m]))",
    "sum(rate(axon_flag_evaluations_total{flag='watched',variant='on'}[5m]))",
    "sum(rate(axon_retrieval_seconds_count{outcome='found'}[5m]))",
    "sum(rate(axon_safety_verdicts_total{stage='input',action='flagged'}[5m]))",
    "sum(rate(axon_redaction_hits_total{kind='email'}[5m]))",
    "sum(rate(axon_feedback_total{rating='up'}[5m]))",
    "sum(rate(axon_audit_accesses_total{action='read'}[5m]))",
    "sum(rate(axon_subjects_erased_total[5m]))",
    "max(axon_business_legal_holds{kind='person'})",
    "max(axon_business_active_users{window='day'})",
    "max(axon_business_revenue_nano{currency='USD',window='month'})",
    "max(axon_business_signups{kind='user',window='day'})",
    "sum(rate(axon_embedding_cache_hits_total[5m]))",
    "max(axon_engine_kv_cache_ratio{upstream='vllm'})",
)


def test_what_was_caused_is_what_the_metrics_say(watched: Prometheus) -> None:
    """A series that is there at 0 answers a panel too; these have risen."""
    waiting = [f"{query} > 0" for query in CAUSED]
    give_up = time.monotonic() + WAIT_S
    while waiting:
        waiting = [query for query in waiting if not watched.ask(query)]
        assert time.monotonic() < give_up, waiting
        time.sleep(0.2 if waiting else 0)


def until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_alerts_of_real_conditions_get_to_whoever_is_to_be_told(
    observed: Observed, watched: Prometheus, hook: Hook
) -> None:
    """Turns without a price, failing turns, and a Valkey that does not answer."""
    until(lambda: ("/ticket", "AxonTurnsWithoutPrice") in hook.told)
    pending = "ALERTS{alertname='%s',alertstate='pending'}"
    with observed.axon.sync_client() as client:
        for _ in range(FAILING):
            script.fail(client)
            client.responses.create(model="m", input="[[text:on]]")  # the engine is not given up
    until(lambda: watched.ask(pending % "AxonTurnsFail"))
    [valkey] = observed.axon.pids["valkey"]
    os.kill(valkey, signal.SIGSTOP)
    try:
        with observed.axon.sync_client() as client:
            until(
                lambda: (
                    client.responses.create(model="m", input="[[text:on]]").id
                    and watched.ask("axon_degraded_mode{dependency='valkey'} == 1")
                )
            )
        until(lambda: watched.ask(pending % "AxonDependencyAway"))
    finally:
        os.kill(valkey, signal.SIGCONT)
