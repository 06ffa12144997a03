"""Outside events by OpenMeter's published client, and by hand, against a running Axon."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from corehttp.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from openmeter import Client
from openmeter.models import EntitlementValue, Event, MeterQueryRequest

from axon.app.embedded import freeze, thaw
from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.app.up.running import read_running
from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon, start_axon, stop

PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

MORE_METERS = """
[metering.meters.orders]
event_type = "order"
aggregation = "COUNT"
group_by = { country = "$.to.country" }
"""

EVENTUALLY_S = 60


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Any


class Tenant:
    """An organization of its own, its keys, and OpenMeter's client."""

    def __init__(self, axon: RunningAxon, name: str, permission: str = "admin") -> None:
        self.axon, self.name = axon, name
        axon_command(axon, "orgs", "create", name)
        self.key = self.key_with(permission)
        self.openmeter = Client(endpoint=axon.origin, token=self.key, retry_total=0)

    def key_with(self, permission: str) -> str:
        """Return the key of a new user with this permission alone."""
        user = permission or "nobody"
        options = ("--permission", permission) if permission else ()
        axon_command(self.axon, "users", "create", user, "--org", self.name, *options)
        made = axon_command(
            self.axon, "keys", "create", "--org", self.name, "--user", user, "--name", user
        )
        return str(made["secret"])

    def ask(self, path: str, body: object = None, *, key: str = "", form: str = "") -> Reply:
        """Make a request by hand; a `body` that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key or self.key}"}
        headers["Content-Type"] = form or "application/json"
        request = urllib.request.Request(f"{self.axon.origin}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return reply(error.code, error.headers, error.read())

    def entitlement(self, subject: str, key: str, at: datetime | None = None) -> EntitlementValue:
        """Return how an entitlement stands, where the published client finds it."""
        customers = self.openmeter.customer_entitlement
        return customers.get_customer_entitlement_value(subject, key, time=at)

    def total(self, meter: str = "orders") -> float:
        """Return all that a meter has."""
        rows = self.openmeter.meters.query_json(meter).data
        return sum(row.value for row in rows)


def reply(status: int, headers: Any, body: bytes) -> Reply:
    return Reply(status, dict(headers), json.loads(body) if body else None)


def event(event_id: str, **changes: Any) -> Event:
    usual: dict[str, Any] = {
        "id": event_id,
        "source": "tests",
        "specversion": "1.0",
        "type": "order",
        "subject": "customer-1",
        "data": {"to": {"country": "ES"}},
    }
    return Event(**{**usual, **changes})


def eventually(holds: Callable[[], bool]) -> None:
    """Return when it holds: what is accepted is in PostgreSQL a moment later."""
    end = time.monotonic() + EVENTUALLY_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def metered(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    """An Axon with the meters of the page, and one more."""
    folder = tmp_path_factory.mktemp("metered")
    blocks = dict(BLOCK.findall(PAGE.read_text()))
    (folder / "axon.toml").write_text(blocks["toml"] + MORE_METERS)
    process, running = start_axon(
        folder / "data",
        upstream_address,
        environment={"AXON_CONFIG": str(folder / "axon.toml")},
    )
    yield running
    stop(process)


@pytest.fixture(scope="module")
def shop(metered: RunningAxon) -> Tenant:
    """An organization that every test may send to, under its own subjects."""
    return Tenant(metered, "shop")


def test_the_page_works_as_it_stands(metered: RunningAxon) -> None:
    tenant = Tenant(metered, "reader")
    environment = {**os.environ, "AXON_ORIGIN": metered.origin, "AXON_API_KEY": tenant.key}
    blocks = BLOCK.findall(PAGE.read_text())
    (curl,) = [body for kind, body in blocks if kind == "sh"]
    assert "204 No Content" in run(["bash", "-ec", curl], environment)
    code = "\n".join(body for kind, body in blocks if kind == "python")
    printed = run([sys.executable, "-c", code], environment)
    eventually(lambda: tenant.total("prompt_tokens") == 307)
    assert "True" in printed
    value = tenant.entitlement("customer-1", "assistant")
    assert (value.has_access, value.usage, value.balance, value.overage) == (True, 307, 693, 0)
    assert "amount" not in value and value.total_available_grant_amount == 1000


def run(command: list[str], environment: Mapping[str, str]) -> str:
    """Return what a program prints."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_a_batch_and_plain_json_are_all_taken(metered: RunningAxon) -> None:
    tenant = Tenant(metered, "forms")
    tenant.openmeter.events.ingest_event(event("one"))
    tenant.openmeter.events.ingest_events([event("two"), event("three")])
    tenant.openmeter.events.ingest_events_json([event("four")])
    tenant.openmeter.events.ingest_events_json(event("five"))
    tenant.openmeter.events.ingest_events([])
    eventually(lambda: tenant.total() == 5)


def test_a_batch_of_ten_thousand_is_taken_once_and_one_more_is_too_many(
    metered: RunningAxon,
) -> None:
    tenant = Tenant(metered, "many")
    batch = [dict(event(f"many-{number}")) for number in range(10_000)]
    before = flushes(metered)
    assert tenant.ask("/api/v1/events", batch).status == 204
    assert flushes(metered) == before + 1
    assert tenant.ask("/api/v1/events", batch).status == 204
    eventually(lambda: tenant.total() == 10_000)
    refused = tenant.ask("/api/v1/events", [*batch, dict(event("one-more"))])
    assert refused.status == 413
    assert refused.body["type"] == "urn:axon:problem:batch_too_large"


def flushes(axon: RunningAxon) -> int:
    """Return how often the journal was flushed for entries."""
    with urllib.request.urlopen(f"{axon.origin}/metrics", timeout=10) as page:
        text = page.read().decode()
    found = re.search(r"^axon_journal_fsync_seconds_count (\S+)$", text, re.MULTILINE)
    assert found
    return int(float(found.group(1)))


def test_a_wrong_event_is_named_and_nothing_of_its_batch_is_kept(metered: RunningAxon) -> None:
    tenant = Tenant(metered, "wrong")
    batch = [dict(event("good")), {**event("bad"), "source": ""}]
    refused = tenant.ask("/api/v1/events", batch, form="application/cloudevents-batch+json")
    assert refused.status == 400
    assert refused.headers["content-type"] == "application/problem+json"
    (wrong,) = refused.body["extensions"]["validationErrors"]
    assert wrong["field"] == "events[1].source"
    with pytest.raises(HttpResponseError) as caught:
        tenant.openmeter.events.ingest_event(event("bad", type="prompt", data={"tokens": "many"}))
    assert caught.value.status_code == 400
    problem: Any = caught.value.model
    assert "data.tokens" in problem["detail"]
    tenant.openmeter.events.ingest_event(event("last"))
    eventually(lambda: tenant.total() == 1)


def test_what_is_no_event_is_refused(shop: Tenant) -> None:
    for body, form in (
        (b"", ""),
        (b"[{", ""),
        (b"[1]", ""),
        (b"{}", "application/cloudevents-batch+json"),
        (b"[]", "application/cloudevents+json"),
        (b"\xff", "application/cloudevents+json"),
    ):
        assert shop.ask("/api/v1/events", body, form=form).status == 400, body
    assert shop.ask("/api/v1/events", b"<a/>", form="text/xml").status == 415


def test_who_may_send_and_who_may_ask(shop: Tenant) -> None:
    sends, asks, neither = shop.key_with("events"), shop.key_with("usage"), shop.key_with("")
    body = dict(event("permitted"))
    assert shop.ask("/api/v1/events", body, key=sends).status == 204
    assert shop.ask("/api/v1/events", body, key=asks).status == 403
    assert shop.ask("/api/v1/events", body, key=neither).status == 403
    for path in ("/api/v1/meters", "/api/v1/meters/orders", "/api/v1/meters/orders/query"):
        assert shop.ask(path, key=asks).status == 200
        assert shop.ask(path, key=sends).status == 403
    value = "/api/v1/subjects/a/entitlements/assistant/value"
    assert (shop.ask(value, key=asks).status, shop.ask(value, key=neither).status) == (200, 403)
    stranger = Client(endpoint=shop.axon.origin, token="sk-axon-wrong", retry_total=0)
    with pytest.raises(ClientAuthenticationError):
        stranger.meters.list()


def test_meters_are_those_of_the_configuration(shop: Tenant) -> None:
    listed = {meter.slug: meter for meter in shop.openmeter.meters.list()}
    assert set(listed) == {"prompt_tokens", "orders"}
    meter = shop.openmeter.meters.get("prompt_tokens")
    assert (meter.aggregation, meter.value_property) == ("SUM", "$.tokens")
    assert (meter.event_type, meter.group_by) == ("prompt", {"model": "$.model"})
    with pytest.raises(ResourceNotFoundError):
        shop.openmeter.meters.get("nothing")
    with pytest.raises(ResourceNotFoundError):
        shop.openmeter.meters.query_json("nothing")
    with pytest.raises(ResourceNotFoundError):
        shop.entitlement("a", "nothing")


def test_windows_groups_and_filters(metered: RunningAxon) -> None:
    tenant = Tenant(metered, "windows")
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
    told = [
        ("a", 0, "small", "0.1"),
        ("a", 0, "large", "0.2"),
        ("b/c", 1, "large", 3),
        ("a", 2, "large", 10**20),
    ]
    tenant.openmeter.events.ingest_events(
        [
            event(
                f"w{number}",
                type="prompt",
                subject=subject,
                time=noon + timedelta(days=day),
                data={"tokens": tokens, "model": model},
            )
            for number, (subject, day, model, tokens) in enumerate(told)
        ]
    )
    meters = tenant.openmeter.meters
    span: Any = {"from_parameter": noon, "to": noon + timedelta(days=2)}
    eventually(lambda: len(meters.query_json("prompt_tokens", window_size="DAY").data) == 3)
    rows = meters.query_json("prompt_tokens", window_size="DAY", **span).data
    assert [row.value for row in rows] == [0.3, 3]
    assert rows[0].window_start == noon.replace(hour=0)
    assert {row.subject for row in rows} == {None}
    rows = meters.query_json("prompt_tokens", subject=["a", "b/c"], **span).data
    assert {row.subject: row.value for row in rows} == {"a": 0.3, "b/c": 3}
    rows = meters.query_json("prompt_tokens", group_by=["model", "subject"], **span).data
    assert {(row.subject, row.group_by["model"]): row.value for row in rows} == {
        ("a", "small"): 0.1,
        ("a", "large"): 0.2,
        ("b/c", "large"): 3,
    }
    large = {"model": "large"}
    rows = meters.query_json("prompt_tokens", filter_group_by=large, **span).data
    assert [row.value for row in rows] == [3.2]
    one_of: Any = {"model": {"$in": ["small", "tiny"]}}
    rows = meters.query_json("prompt_tokens", advanced_meter_group_by_filters=one_of, **span).data
    assert [row.value for row in rows] == [0.1]
    asked = MeterQueryRequest(filter_group_by={"model": ["small", "large"]}, to=span["to"])
    assert [row.value for row in meters.query("prompt_tokens", asked).data] == [3.3]
    path = "/api/v1/meters/prompt_tokens/query?filterGroupBy[model]=large&windowSize=DAY"
    url = f"{tenant.axon.origin}{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {tenant.key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert b'"value":100000000000000000000,' in answer.read()
    path = "/api/v1/subjects/b%2Fc/entitlements/assistant/value?time="
    stand = tenant.ask(path + f"{noon + timedelta(days=1):%Y-%m-%dT%XZ}").body
    assert (stand["hasAccess"], stand["usage"], stand["balance"]) == (True, 3, 997)
    assert tenant.ask(path + f"{noon:%Y-%m-%dT%XZ}").body["usage"] == 0
    value = tenant.entitlement("a", "assistant", noon + timedelta(days=2))
    assert not value.has_access and value.balance == 0 and value.overage == 10**20


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00",
        "windowSize=YEAR",
        "windowSize=MINUTE&from=1970-01-01T00:00:00Z",
        "windowTimeZone=Mars/Base",
        "groupBy=nothing",
        "filterGroupBy[nothing]=a",
        "filterGroupBy=__import__('os')",
        "filterGroupBy[model]=%00",
        "advancedMeterGroupByFilters=%7B%22model%22%3A%7B%22$like%22%3A%22a%22%7D%7D",
        "filterCustomerId=c",
        "subject=%00&from=2026-01-01T00:00:00Z",
        "from=0001-01-01T00:00:00%2B14:00&windowSize=DAY",
    ],
)
def test_a_wrong_question_is_a_400(shop: Tenant, query: str) -> None:
    refused = shop.ask(f"/api/v1/meters/prompt_tokens/query?{query}")
    assert refused.status == 400, refused.body
    assert refused.body["status"] == 400 and refused.body["detail"]


@pytest.mark.parametrize("time", ["", "noon", "2026-01-01T00:00:00"])
def test_an_entitlement_at_a_wrong_instant_is_a_400(shop: Tenant, time: str) -> None:
    value = "/api/v1/subjects/customer-1/entitlements/assistant/value"
    refused = shop.ask(f"{value}?time={time}")
    assert refused.status == 400 and "Invalid 'time'" in refused.body["detail"]


@pytest.mark.failure("postgresql", "frozen")
def test_events_are_taken_and_nothing_is_guessed_while_postgresql_is_away(
    metered: RunningAxon,
) -> None:
    tenant = Tenant(metered, "away")
    value = "/api/v1/subjects/customer-1/entitlements/assistant/value"
    assert tenant.ask(value).body["hasAccess"] is True
    (pid,) = metered.pids["postgres"]
    freeze(pid)
    try:
        body = [dict(event(name, type="prompt", data={"tokens": 600})) for name in ("a", "b")]
        assert tenant.ask("/api/v1/events", body).status == 204
        for path in ("/api/v1/meters/prompt_tokens/query", value):
            unknown = tenant.ask(path)
            assert unknown.status == 503 and int(unknown.headers["retry-after"]) > 0
            assert unknown.body["type"] == "urn:axon:problem:usage_unavailable"
    finally:
        thaw(pid)
    eventually(lambda: tenant.ask(value).body.get("hasAccess") is False)
    assert tenant.ask(value).body["overage"] == 200


def test_what_is_durable_and_not_projected_survives_both_processes(metered: RunningAxon) -> None:
    tenant = Tenant(metered, "between")
    projector = process_of(metered, "projector")
    freeze(projector)
    assert tenant.ask("/api/v1/events", [dict(event("1")), dict(event("2"))]).status == 204
    assert tenant.total() == 0
    os.kill(process_of(metered, "serving"), signal.SIGKILL)
    os.kill(projector, signal.SIGKILL)
    eventually(lambda: counted(tenant) == 2)
    assert tenant.ask("/api/v1/events", dict(event("2"))).status == 204
    assert tenant.ask("/api/v1/events", dict(event("3"))).status == 204
    eventually(lambda: tenant.total() == 3)


def process_of(axon: RunningAxon, role: str) -> int:
    """Return the process of a role as it is now."""
    running = read_running(DataFolder.of(Settings(data=str(axon.data))))
    assert running is not None
    return running.pids[role][0]


def counted(tenant: Tenant) -> float:
    """Return how many orders there are, -1 while no process can tell."""
    try:
        answer = tenant.ask("/api/v1/meters/orders/query")
    except (OSError, HTTPException):
        return -1
    return sum(row["value"] for row in answer.body["data"]) if answer.status == 200 else -1


def test_what_was_acknowledged_is_counted_once_whoever_is_killed(metered: RunningAxon) -> None:
    """Senders go on through kills of both processes, and send again what had no answer."""
    tenant = Tenant(metered, "killed")
    batches = [[dict(event(f"k{batch}-{number}")) for number in range(20)] for batch in range(60)]

    def send(batch: list[dict[str, Any]]) -> None:
        end = time.monotonic() + EVENTUALLY_S
        while True:
            try:
                if tenant.ask("/api/v1/events", batch).status == 204:
                    return
            except (OSError, HTTPException):
                pass
            assert time.monotonic() < end
            time.sleep(0.05)

    def kill_every_so_often() -> None:
        for role in ("serving", "projector", "serving", "projector"):
            with suppress(ProcessLookupError):
                os.kill(process_of(metered, role), signal.SIGKILL)
            time.sleep(0.5)

    with ThreadPoolExecutor(5) as threads:
        killing = threads.submit(kill_every_so_often)
        for sent in [threads.submit(send, batch) for batch in batches]:
            sent.result()
        killing.result()
    eventually(lambda: counted(tenant) == 1200)
