"""Each alert's metric is made by its condition: promtool only knows what a rule says of it."""

import ast
import os
import re
import signal
import time
import urllib.request
from pathlib import Path

from axon.projection.status import JournalLag, ProjectorStatus, write_status
from axon.telemetry.metrics import registry
from tests.observability.conftest import Observed
from tests.observability.test_alert_rules import ALERTS, ROOT

WAIT_S = 60

CAUSES = {
    "AxonDown": "observability/test_causes.py::test_a_frozen_process_answers_no_scrape",
    "AxonJournalFailed": "journal/test_measures.py",
    "AxonJournalSlow": "journal/test_measures.py",
    "AxonJournalDamaged": "app/test_scrubbing.py",
    "AxonProjectionBehind": "observability/test_causes.py::test_a_frozen_projector_is_behind",
    "AxonRecordsParked": "observability/test_causes.py::test_parked_records_are_counted_by_why",
    "AxonDependencyAway": "observability/test_dashboards.py",
    "AxonTurnsFail": "observability/test_dashboards.py",
    "AxonSlow": "observability/test_causes.py::test_a_turn_is_in_the_histograms",
    "AxonQueueLong": "observability/test_causes.py::test_a_turn_is_in_the_histograms",
    "AxonTelemetryDropped": "tracing/test_tracing.py",
    "AxonTurnsWithoutPrice": "observability/test_dashboards.py",
    "AxonTaskStuck": "app/test_scheduled.py::test_a_task_that_fails_on_has_a_lag_that_grows",
    "AxonKeysOld": "accounts/test_outage.py::test_what_it_knows_counts_for_a_bounded_time",
    "AxonClockStepped": "failures/test_clock.py",
    "AxonGpuError": "observability/exporters.py",
}
"""Where the condition of each alert is caused, and its metric looked at."""


def test_each_alert_has_a_cause_that_a_test_brings_about() -> None:
    assert list(CAUSES) == ALERTS
    for alert, place in CAUSES.items():
        path, _, name = place.partition("::")
        text = (ROOT / "tests" / path).read_text()
        there = {node.name for node in ast.walk(ast.parse(text)) if hasattr(node, "name")}
        assert not name or name in there, place
        metric = _metric_of(alert)
        assert metric in text or alert in text, f"{path} does not look at {metric}"


def _metric_of(alert: str) -> str:
    rules = (ROOT / "deploy" / "observability" / "prometheus" / "rules.yml").read_text()
    expression = rules.partition(f"- alert: {alert}\n")[2].partition("expr: ")[2].splitlines()[0]
    found = re.search(r"axon_\w+?(?=_bucket|\b)|DCGM\w+|up(?={)", expression)
    assert found is not None, expression
    return found.group()


def scraped(observed: Observed) -> str:
    with urllib.request.urlopen(f"{observed.axon.origin}/metrics", timeout=10) as answer:
        page: bytes = answer.read()
    return page.decode()


def sample(page: str, name: str) -> float:
    """Return the sum of a metric's samples."""
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
    return sum(float(value) for value in values)


def test_a_frozen_projector_is_behind(observed: Observed) -> None:
    [projector] = observed.axon.pids["projector"]
    os.kill(projector, signal.SIGSTOP)
    try:
        with observed.axon.sync_client() as client:
            client.responses.create(model="m", input="[[text:on]]")
        give_up = time.monotonic() + WAIT_S
        while sample(scraped(observed), "axon_projection_lag_seconds") <= 0:
            assert time.monotonic() < give_up
            time.sleep(0.1)
        assert sample(scraped(observed), "axon_projection_lag_records") > 0
    finally:
        os.kill(projector, signal.SIGCONT)


def test_a_frozen_process_answers_no_scrape(observed: Observed) -> None:
    """Prometheus makes `up` 0 of a scrape that is not answered in its time."""
    [serving] = observed.axon.pids["serving"]
    os.kill(serving, signal.SIGSTOP)
    try:
        answered = True
        try:
            urllib.request.urlopen(f"{observed.axon.origin}/metrics", timeout=0.3)
        except TimeoutError:
            answered = False
    finally:
        os.kill(serving, signal.SIGCONT)
    assert not answered
    assert "axon_journal_failed" in scraped(observed)


def test_parked_records_are_counted_by_why(tmp_path: Path) -> None:
    status = ProjectorStatus(
        at_us=1, lag_records=0, lag_seconds=0, parked=3, waiting=1, last_error="",
        journals=[JournalLag(instance="one")],
    )  # fmt: skip
    write_status(tmp_path, status)
    name = "axon_projection_parked_records"
    assert registry.get_sample_value(name, {"state": "waiting"}) == 1
    assert registry.get_sample_value(name, {"state": "parked"}) == 2


def test_a_turn_is_in_the_histograms(observed: Observed) -> None:
    """A turn adds one to Axon's own share and to the wait for an engine, whatever they came to."""
    names = ("axon_overhead_seconds_count", "axon_queue_wait_seconds_count")
    before = [sample(scraped(observed), name) for name in names]
    with observed.axon.sync_client() as client:
        client.responses.create(model="m", input="[[text:on]]", stream=False)
    after = [sample(scraped(observed), name) for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1]
