"""An organization's own invoices over HTTP, and nobody else's."""

import asyncio
import csv
import io
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import requests

from axon.app.embedded import EmbeddedPostgres
from axon.records import TokenUsage
from tests.billing.scene import Journal
from tests.gateway.commands import axon_command, axon_lines, set_price
from tests.gateway.conftest import RunningAxon

MODEL = "billed-model"

TRIES_MAX = 60
"""Turns within which a new price must have reached the process; each takes half a second."""


class Client:
    """Requests with one key."""

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url
        self._headers = {"authorization": f"Bearer {key}", "accept": "*/*"}

    def get(self, path: str, accept: str = "*/*") -> requests.Response:
        headers = {**self._headers, "accept": accept}
        return requests.get(self._base_url + path, headers=headers, timeout=30)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = requests.post(self._base_url + path, json=body, headers=self._headers, timeout=30)
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization, and requests with keys of its own."""

    org_id: str
    billing: Client
    """A user's who may see invoices."""
    plain: Client
    """A user's who may not."""


def tenant(axon: RunningAxon, name: str) -> Tenant:
    org_id = axon_command(axon, "orgs", "create", name, "--tier", "pro")["org_id"]
    clients = []
    for user, words in (("ada", ("--permission", "billing")), ("bob", ())):
        axon_command(axon, "users", "create", user, "--org", name, *words)
        of_user = ("--org", name, "--user", user, "--name", "a")
        key = axon_command(axon, "keys", "create", *of_user)["secret"]
        clients.append(Client(axon.base_url, str(key)))
    return Tenant(str(org_id), *clients)


@pytest.fixture(scope="module")
def billed(axon: RunningAxon) -> Tenant:
    """An organization with a final invoice of October 2025, a draft of November, and none since."""
    found = tenant(axon, "billed")
    journal = Journal(EmbeddedPostgres(axon.data).url(), name="elsewhere")
    usage = TokenUsage(input_tokens=900_000, output_tokens=100_000)
    for month in (10, 11):
        journal.turn(f"2025-{month}-05", org_id=found.org_id, usage=usage)
    asyncio.run(journal.project())
    words = ("--month", "2025-10", "--org", "billed", "--assume-caught-up")
    assert axon_command(axon, "billing", "close", *words)["outcome"] == "closed"
    axon_command(axon, "billing", "draft", "--month", "2025-11", "--org", "billed")
    return found


def invoice(billed: Tenant) -> dict[str, Any]:
    answer = billed.billing.get("/invoices")
    assert answer.status_code == 200
    (found,) = answer.json()["data"]
    one: dict[str, Any] = found
    return one


def test_issued_invoices_are_listed_and_drafts_are_not(billed: Tenant) -> None:
    found = invoice(billed)
    assert (found["object"], found["state"], found["month"]) == ("invoice", "final", "2025-10")
    assert found["org_id"] == billed.org_id and "lines" not in found
    assert billed.billing.get("/invoices?month=2025-11").json()["data"] == []
    assert billed.billing.get("/invoices?month=2025-10").json()["data"] == [found]
    for wrong in ("October", ""):
        answer = billed.billing.get(f"/invoices?month={wrong}")
        assert answer.status_code == 400 and "2026-10" in answer.json()["error"]["message"]


def test_an_invoice_is_read_by_its_id_and_its_number(billed: Tenant) -> None:
    listed = invoice(billed)
    whole = billed.billing.get(f"/invoices/{listed['id']}").json()
    assert billed.billing.get(f"/invoices/{listed['number']}").json() == whole
    assert sum(Decimal(line["amount"]) for line in whole["lines"]) == Decimal(whole["amount"])
    assert whole["lines"][0]["positions"][0]["instance"] == "elsewhere"
    assert {**whole, "lines": None} == {**listed, "lines": None}


def test_an_invoice_is_a_page_or_csv_for_whoever_wants_that(billed: Tenant) -> None:
    path = f"/invoices/{invoice(billed)['id']}"
    page = billed.billing.get(path, "text/html,application/json;q=0.9")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.text == billed.billing.get(f"{path}?format=html").text
    assert page.text.startswith("<!doctype html>") and "billed" in page.text
    rows = csv.DictReader(io.StringIO(billed.billing.get(f"{path}?format=csv").text))
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal(invoice(billed)["amount"])
    asked = billed.billing.get(f"{path}?format=json", "text/html")
    assert asked.json()["id"] == invoice(billed)["id"], "the query counts before the header"
    refused = billed.billing.get(f"{path}?format=pdf")
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "format"


def test_invoices_are_the_organizations_own_and_want_a_permission(
    axon: RunningAxon, billed: Tenant
) -> None:
    stranger = tenant(axon, "a-stranger")
    assert stranger.billing.get("/invoices").json()["data"] == []
    draft = axon_command(axon, "billing", "list", "--org", "billed", "--state", "draft")
    mine = invoice(billed)
    for client, name in (
        (stranger.billing, mine["id"]),
        (stranger.billing, mine["number"]),
        (billed.billing, str(draft["id"])),
        (billed.billing, "inv_0"),
        (billed.billing, "%00"),
        (billed.billing, "9" * 40),
    ):
        assert client.get(f"/invoices/{name}").status_code == 404, name
    for client in (stranger.plain, billed.plain):
        for path in ("/invoices", f"/invoices/{mine['id']}"):
            assert client.get(path).status_code == 403


def test_a_preview_is_what_turns_really_used(axon: RunningAxon) -> None:
    """The engine's counts, times the price, to the nano-unit, through every process of Axon."""
    words = ("--input", "2.5", "--output", "10.000000001", "--request", "0.001")
    set_price(axon, MODEL, *words)
    mine = tenant(axon, "previewed")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    of_it = ("--org", "previewed")
    for _ in range(TRIES_MAX):  # until the price is known to the serving process
        answer = mine.plain.post("/chat/completions", body)
        used = axon_lines(axon, "usage", *of_it, "--by", "month")
        charged_in = [one["period"] for one in used if one["currency"]]
        if charged_in:
            break
    preview = axon_lines(axon, "billing", "preview", "--month", charged_in[0], *of_it)
    usage = answer["usage"]
    nano = usage["prompt_tokens"] * 2_500_000_000 + usage["completion_tokens"] * 10_000_000_001
    each_nano = (nano + 500_000) // 1_000_000 + 1_000_000
    (found,) = preview
    charged = sum(line["quantity"] for line in found["lines"] if line["kind"] == "request")
    assert charged and Decimal(found["amount"]) * 10**9 == each_nano * charged
