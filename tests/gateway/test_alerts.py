"""An organization's alerts and webhooks over HTTP, and nobody else's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from axon.alerts import AlertsUnavailable
from axon.gateway.problems import problem_of
from tests.gateway.commands import axon_command, axon_text
from tests.gateway.conftest import RunningAxon, start_axon, stop

NOBODY = "https://127.0.0.1:9/axon"
"""Nothing listens there, so nothing is ever delivered."""


@pytest.fixture(scope="module")
def watched(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    """An Axon of its own, whose webhooks may be on this machine."""
    allowed = {"AXON_ALERTS_ALLOWED_NETWORKS": "127.0.0.0/8"}
    data = tmp_path_factory.mktemp("watched")
    process, running = start_axon(data, upstream_address, environment=allowed)
    yield running
    stop(process)


@dataclass(frozen=True, slots=True)
class Client:
    """Requests with one key."""

    base_url: str
    key: str

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        headers = {"authorization": f"Bearer {self.key}"}
        url = self.base_url + path
        answer = requests.request(method, url, json=body, headers=headers, timeout=30)
        found: dict[str, Any] = answer.json()
        return answer.status_code, found

    def get(self, path: str) -> dict[str, Any]:
        status, found = self.ask("GET", path)
        assert status == 200, found
        return found


def tenant(axon: RunningAxon, name: str) -> dict[str, Client]:
    """Make an organization; return clients by what their users may do."""
    axon_command(axon, "orgs", "create", name)
    clients = {}
    for permission in ("alerts", "usage", ""):
        words = ("--permission", permission) if permission else ()
        user = f"user-{permission}"
        axon_command(axon, "users", "create", user, "--org", name, *words)
        key = axon_command(axon, "keys", "create", "--org", name, "--user", user, "--name", "a")
        clients[permission] = Client(axon.base_url, str(key["secret"]))
    return clients


@pytest.fixture(scope="module")
def acme(watched: RunningAxon) -> dict[str, Client]:
    return tenant(watched, "acme")


@pytest.fixture(scope="module")
def stranger(watched: RunningAxon) -> dict[str, Client]:
    return tenant(watched, "a-stranger")


def raise_alert(axon: RunningAxon, org: str) -> str:
    """Raise an alert that says nothing; return its id."""
    return axon_text(axon, "alerts", "test", "--org", org).strip()


def test_a_webhook_is_made_listed_and_removed(acme: dict[str, Client]) -> None:
    client = acme["alerts"]
    status, made = client.ask("POST", "/webhooks", {"url": NOBODY})
    assert status == 200 and made["secret"].startswith("whsec_")
    (listed,) = client.get("/webhooks")["data"]
    assert (listed["id"], listed["url"]) == (made["id"], NOBODY)
    assert "secret" not in listed and listed["created_at"] > 0
    gone = {"id": made["id"], "object": "webhook.deleted", "deleted": True}
    assert client.ask("DELETE", f"/webhooks/{made['id']}") == (200, gone)
    assert client.get("/webhooks")["data"] == []
    assert client.ask("DELETE", f"/webhooks/{made['id']}")[0] == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://127.0.0.1/axon"}, "unusable_url"),
        ({"url": "https://10.0.0.1/axon"}, "unusable_url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "unusable_url"),
        ({"url": "https://user:word@127.0.0.1/"}, "unusable_url"),
        ({"url": "file:///etc/passwd"}, "unusable_url"),
        ({"url": "https://127.0.0.1/\u0000"}, "unusable_url"),
        ({"url": ""}, "unusable_url"),
        ({"url": 7}, "invalid_type"),
        ({}, "missing_required_parameter"),
    ],
)
def test_a_bad_url_is_a_400_that_names_it(
    acme: dict[str, Client], body: dict[str, Any], code: str
) -> None:
    status, told = acme["alerts"].ask("POST", "/webhooks", body)
    assert (status, told["error"]["code"], told["error"]["param"]) == (400, code, "url")


def test_alerts_are_paged_and_their_deliveries_told(
    watched: RunningAxon, acme: dict[str, Client]
) -> None:
    client = acme["alerts"]
    _, made = client.ask("POST", "/webhooks", {"url": NOBODY})
    ids = [raise_alert(watched, "acme") for _ in range(3)]
    page = client.get("/alerts?limit=2")
    assert [one["id"] for one in page["data"]] == ids[:0:-1] and page["has_more"]
    rest = client.get(f"/alerts?limit=2&after={page['last_id']}")
    assert rest["data"][0]["id"] == ids[0]
    (alert, *_) = page["data"]
    assert (alert["object"], alert["type"]) == ("alert", "alert.test")
    assert "test" in alert["data"]["message"]
    assert acme["usage"].get("/alerts?limit=2") == page
    (delivery,) = client.get(f"/alerts/{ids[0]}/deliveries")["data"]
    assert (delivery["webhook_id"], delivery["state"]) == (made["id"], "waiting")
    assert delivery["next_attempt_at"] and delivery["status"] is None
    status, again = client.ask("POST", f"/alerts/{ids[0]}/redeliver")
    assert status == 200
    assert again == {"id": ids[0], "object": "alert.redelivery", "webhooks": 1}
    for wrong in ("limit=0", "limit=x"):
        assert client.ask("GET", f"/alerts?{wrong}")[0] == 400


def test_what_is_anothers_is_not_there(
    watched: RunningAxon, acme: dict[str, Client], stranger: dict[str, Client]
) -> None:
    client, other = acme["alerts"], stranger["alerts"]
    _, made = client.ask("POST", "/webhooks", {"url": NOBODY})
    alert_id = raise_alert(watched, "acme")
    assert other.get("/alerts")["data"] == other.get("/webhooks")["data"] == []
    for name in (alert_id, "alert_0", "%00"):
        for method, path in (
            ("GET", f"/alerts/{name}/deliveries"),
            ("POST", f"/alerts/{name}/redeliver"),
            ("GET", f"/alerts?after={name}"),
        ):
            assert other.ask(method, path)[0] == 404, path
    for name in (made["id"], "webhook_0", "%00"):
        assert other.ask("DELETE", f"/webhooks/{name}")[0] == 404
    assert made["id"] in [one["id"] for one in client.get("/webhooks")["data"]]


def test_it_wants_a_permission(watched: RunningAxon, acme: dict[str, Client]) -> None:
    """Who sees usage reads alerts; where they are sent is for `alerts` alone."""
    calls = [
        ("GET", "/webhooks"),
        ("DELETE", "/webhooks/webhook_0"),
        ("GET", "/alerts/alert_0/deliveries"),
        ("POST", "/alerts/alert_0/redeliver"),
    ]
    acts_for_users = Client(watched.base_url, watched.api_key)
    assert acts_for_users.ask("GET", "/alerts")[0] == 200
    for client in (acme["usage"], acme[""], acts_for_users):
        for method, path in calls:
            assert client.ask(method, path)[0] == 403, (client, path)
        assert client.ask("POST", "/webhooks", {"url": NOBODY})[0] == 403
    assert acme[""].ask("GET", "/alerts")[0] == 403


def test_without_postgresql_it_is_a_503_that_passes() -> None:
    problem = problem_of(AlertsUnavailable("away"))
    assert (problem.status, problem.code) == (503, "alerts_unavailable")
    assert problem.retry_after_ms
