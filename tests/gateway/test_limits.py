"""Limits as OpenAI's clients meet them: headers, 429s, an answer cut at its reservation."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai import OpenAI

from axon.base import MICROS_PER_SECOND, SystemClock
from tests.gateway.commands import axon_command, set_price
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
AT_ONCE = 8

NANOS = 10**9

KNOWN_TRIES_MAX = 80
"""Requests, 50 ms apart, within which a new limit must have reached the process."""

RESTART_TRIES_MAX = 80
"""Tries, 250 ms apart, within which a killed process serves again."""


class Tenant:
    """An organization of its own with a key."""

    def __init__(self, axon: RunningAxon, name: str, tier: str, permission: str) -> None:
        self.axon, self.name = axon, name
        made = axon_command(axon, "orgs", "create", name, "--tier", tier)
        self.org_id = str(made["org_id"])
        options = ("--permission", permission) if permission else ()
        axon_command(axon, "users", "create", "ada", "--org", name, *options)
        made = axon_command(axon, "keys", "create", "--org", name, "--user", "ada", "--name", "a")
        self.client = OpenAI(base_url=axon.base_url, api_key=made["secret"], max_retries=0)

    def limits(self) -> list[dict[str, Any]]:
        answer: dict[str, Any] = self.client.get("/limits", cast_to=dict)
        found: list[dict[str, Any]] = answer["data"]
        return found

    def limit(self, name: str, *words: str) -> None:
        """Define a limit and wait until it is known."""
        axon_command(self.axon, "limits", "set", name, "--org", self.name, *words)
        amount = int(
            Decimal(words[words.index("--amount") + 1]) * (NANOS if "money" in words else 1)
        )
        for _ in range(KNOWN_TRIES_MAX):
            if any(one["id"] == name and one["amount"] == amount for one in self.limits()):
                return
            time.sleep(0.05)
        raise AssertionError(f"{name} is not known")

    def say(self, text: str = "hi", **rest: Any) -> Any:
        message: Any = {"role": "user", "content": text}
        return self.client.chat.completions.with_raw_response.create(
            model=MODEL, messages=[message], max_tokens=rest.pop("max_tokens", 20), **rest
        )


@pytest.fixture(scope="module")
def tenant(axon: RunningAxon) -> Iterator[Tenant]:
    found = Tenant(axon, "limited", "pro", "limits")
    yield found
    found.client.close()


def test_a_free_organization_gets_ten_requests_a_day(axon: RunningAxon) -> None:
    free = Tenant(axon, "free-of-charge", "free", "")
    for number in range(10):
        headers = free.say().headers
        assert headers["x-ratelimit-limit-requests"] == "10"
        assert headers["x-ratelimit-remaining-requests"] == str(9 - number)
        assert headers["x-ratelimit-reset-requests"]
        assert headers["x-ratelimit-limit-tokens"] == "100000"
    with pytest.raises(openai.RateLimitError) as refused:
        free.say()
    assert refused.value.code == "rate_limit_exceeded"
    assert refused.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert int(refused.value.response.headers["retry-after-ms"]) > 0
    by_id = {one["id"]: one for one in free.limits()}
    assert (by_id["free-requests"]["used"], by_id["free-requests"]["remaining"]) == (10, 0)
    spoken = by_id["free-tokens"]["used"]
    assert 0 < spoken < 10 * 20  # settled by what the engine counted
    with pytest.raises(openai.PermissionDeniedError):
        free.client.get("/limit_rules", cast_to=object)
    free.client.close()


def test_a_used_up_quota_is_told_as_openai_tells_it(tenant: Tenant) -> None:
    tenant.limit("quota", "--measure", "tokens", "--period", "month", "--amount", "30")
    with pytest.raises(openai.RateLimitError) as refused:
        tenant.say(max_tokens=1000)
    assert refused.value.code == refused.value.type == "insufficient_quota"
    assert refused.value.response.headers["x-should-retry"] == "false"
    axon_command(tenant.axon, "limits", "remove", "quota")


def test_a_budget_of_money_is_spent_and_no_more(tenant: Tenant) -> None:
    """Each turn costs one and a half dollars, whatever it says: four are worth two of them."""
    price = ("--input", "0", "--output", "0", "--request", "1.5", "--org", tenant.name)
    set_price(tenant.axon, MODEL, *price)
    words = ("--measure", "money", "--currency", "USD", "--period", "month")
    tenant.limit("dollars", *words, "--amount", "1000")
    for _ in range(KNOWN_TRIES_MAX):  # until the price is known too
        tenant.say()
        spent: int = next(one["used"] for one in tenant.limits() if one["id"] == "dollars")
        if spent:
            break
        time.sleep(0.05)
    assert spent == 1_500_000_000
    tenant.limit("dollars", *words, "--amount", "5.5")
    with ThreadPoolExecutor(AT_ONCE) as threads:
        said = [threads.submit(tenant.say) for _ in range(AT_ONCE)]
    refused = [one.exception() for one in said if one.exception() is not None]
    assert len(refused) == AT_ONCE - 2
    assert {getattr(one, "code", None) for one in refused} == {"insufficient_quota"}
    dollars = next(one for one in tenant.limits() if one["id"] == "dollars")
    assert (dollars["used"], dollars["currency"]) == (spent + 3 * 10**9, "USD")
    axon_command(tenant.axon, "limits", "remove", "dollars")


def test_a_stream_longer_than_its_reservation_is_cut(tenant: Tenant) -> None:
    tenant.limit("spacious", "--measure", "tokens", "--period", "day", "--amount", "100000")
    stream = tenant.client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "[[chunks:400]] [[delay_ms:2]]"}],
        max_tokens=10,
        stream=True,
    )
    chunks = [chunk.choices[0] for chunk in stream if chunk.choices]
    assert chunks[-1].finish_reason == "length"
    assert 10 <= len(chunks) < 60
    state = next(one for one in tenant.limits() if one["id"] == "spacious")
    assert 10 <= state["used"] < 400
    response = tenant.client.responses.create(
        model=MODEL, input="[[chunks:400]] [[delay_ms:2]]", max_output_tokens=10, stream=True
    )
    last = list(response)[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.output_text
    axon_command(tenant.axon, "limits", "remove", "spacious")


def test_a_soft_limit_warns(tenant: Tenant) -> None:
    words = ("--measure", "requests", "--period", "month", "--amount", "0", "--kind", "soft")
    tenant.limit("warning", *words)
    assert tenant.say().headers["axon-limits-exceeded"] == "warning"
    axon_command(tenant.axon, "limits", "remove", "warning")


def test_rules_are_administered_over_http_too(tenant: Tenant) -> None:
    rule = {"id": "by-http", "measure": "requests", "period": "day", "amount": 5, "tier": "free"}
    made: dict[str, Any] = tenant.client.post("/limit_rules", cast_to=dict, body=rule)
    assert (made["id"], made["amount"]) == ("by-http", 5)
    listed: dict[str, Any] = tenant.client.get("/limit_rules", cast_to=dict)
    assert "by-http" in [one["id"] for one in listed["data"]]
    tenant.client.delete("/limit_rules/by-http", cast_to=object)
    with pytest.raises(openai.NotFoundError):
        tenant.client.delete("/limit_rules/by-http", cast_to=object)
    for wrong in ({"period": "year"}, {"measure": "smiles"}, {"amount": -1}, {"tier": "none"}):
        with pytest.raises(openai.BadRequestError):
            tenant.client.post("/limit_rules", cast_to=dict, body={**rule, **wrong})
    with pytest.raises(openai.BadRequestError, match="org_id"):
        tenant.client.post("/limit_rules", cast_to=dict, body={**rule, "user": "bob"})
    of_bob = {**rule, "user": "bob", "org_id": tenant.org_id}  # and not of who asks
    with pytest.raises(openai.PermissionDeniedError):
        tenant.client.post("/limit_rules", cast_to=dict, body=of_bob)


def test_tiers_are_administered_over_http_too(axon: RunningAxon, tenant: Tenant) -> None:
    client = tenant.client
    body = {"description": "first in the queue", "queue_share": 20}
    made: dict[str, Any] = client.put("/tiers/gold", cast_to=dict, body=body)
    assert made == {"id": "gold", "object": "tier", **body}
    assert client.get("/tiers/gold", cast_to=dict) == made
    listed: dict[str, Any] = client.get("/tiers", cast_to=dict)
    assert [one["id"] for one in listed["data"]] == ["enterprise", "free", "gold", "pro"]
    emptied: dict[str, Any] = client.put("/tiers/gold", cast_to=dict, body={})
    assert (emptied["description"], emptied["queue_share"]) == ("", 0)
    rule = {"id": "golden", "measure": "requests", "period": "day", "amount": 5, "tier": "gold"}
    client.post("/limit_rules", cast_to=dict, body=rule)
    axon_command(axon, "orgs", "create", "golden", "--tier", "gold")
    client.put("/tiers/silver", cast_to=dict, body={})
    with pytest.raises(openai.ConflictError) as refused:
        client.delete("/tiers/gold", cast_to=object)
    assert refused.value.code == "tier_in_use"
    gone: dict[str, Any] = client.delete("/tiers/silver", cast_to=dict)
    deleted = {"id": "silver", "object": "tier.deleted", "deleted": True, "limit_rules": []}
    assert gone == deleted
    for ask in (client.get, client.delete):
        with pytest.raises(openai.NotFoundError):
            ask("/tiers/silver", cast_to=object)
    for name, wrong in (
        ("Gold", {}),
        ("lead", {"queue_share": 91}),
        ("lead", {"queue_share": "x"}),
    ):
        with pytest.raises(openai.BadRequestError):
            client.put(f"/tiers/{name}", cast_to=dict, body=wrong)
    with pytest.raises(openai.APIStatusError) as none:
        client.patch("/tiers/gold", cast_to=object)
    assert none.value.response.headers["allow"] == "GET, PUT, DELETE"
    stranger = Tenant(axon, "no-administrator", "free", "usage")
    for ask in (stranger.client.get, stranger.client.put, stranger.client.delete):
        with pytest.raises(openai.PermissionDeniedError):
            ask("/tiers/gold", cast_to=object)
    stranger.client.close()


def test_overage_is_in_the_costs(axon: RunningAxon) -> None:
    """Every turn costs two dollars; the second of the month is the first beyond the limit."""
    tenant = Tenant(axon, "beyond", "pro", "usage")
    price = ("--input", "0", "--output", "0", "--request", "2", "--org", tenant.name)
    set_price(axon, MODEL, *price)
    words = ("--measure", "requests", "--period", "month", "--amount", "1")
    tenant.limit("one-included", *words, "--kind", "overage", "--overage-percent", "25")
    for _ in range(2):
        tenant.say()
    (state,) = [one for one in tenant.limits() if one["id"] == "one-included"]
    assert (state["used"], state["overage_percent"]) == (2, 25)
    since_s = SystemClock().now_us() // MICROS_PER_SECOND - 3600
    for _ in range(KNOWN_TRIES_MAX):  # until both turns are projected
        costs: dict[str, Any] = tenant.client.get(
            f"/organization/costs?start_time={since_s}", cast_to=dict
        )
        found = [one for bucket in costs["data"] for one in bucket["results"]]
        if found and found[0]["amount"]["value"] >= 4:
            break
        time.sleep(0.05)
    (result,) = found
    assert result["amount"] == {"value": 4.5, "currency": "usd"}
    assert result["overage"] == {"value": 0.5, "currency": "usd"}
    told = axon_command(axon, "usage", "--org", tenant.name, "--by", "month")
    assert (told["cost_nano"], told["overage_nano"]) == (4_500_000_000, 500_000_000)
    axon_command(axon, "limits", "remove", "one-included")
    tenant.client.close()


def test_a_killed_process_holds_nothing_back(axon: RunningAxon, tenant: Tenant) -> None:
    tenant.limit("at-once", "--measure", "concurrent", "--amount", "1")
    tenant.limit("daily", "--measure", "tokens", "--period", "day", "--amount", "100000")
    before = next(one["used"] for one in tenant.limits() if one["id"] == "daily")
    stream = tenant.client.responses.create(
        model=MODEL, input="[[chunks:500]] [[delay_ms:20]]", max_output_tokens=600, stream=True
    )
    next(iter(stream))
    with pytest.raises(openai.RateLimitError) as refused:
        tenant.say()
    assert refused.value.code == "rate_limit_exceeded"
    assert int(refused.value.response.headers["retry-after-ms"]) == 1000
    held = next(one["used"] for one in tenant.limits() if one["id"] == "daily") - before
    assert held > 600
    os.kill(axon.pids["serving"][0], signal.SIGKILL)
    stream.close()
    for _ in range(RESTART_TRIES_MAX):
        with suppress(openai.APIConnectionError, openai.InternalServerError):
            states = {one["id"]: one["used"] for one in tenant.limits()}
            if states["at-once"] == 0:
                break
        time.sleep(0.25)
    assert states["at-once"] == 0
    assert 0 < states["daily"] - before < held
    tenant.say()
    for name in ("at-once", "daily"):
        axon_command(axon, "limits", "remove", name)


def test_a_replayed_answer_is_not_admitted_again(tenant: Tenant) -> None:
    tenant.limit("few", "--measure", "requests", "--period", "month", "--amount", "1")
    for number in range(3):
        answer = tenant.say(extra_headers={"Idempotency-Key": "the same"}, store=True)
        assert answer.headers.get("idempotent-replayed") == ("true" if number else None)
    with pytest.raises(openai.RateLimitError):
        tenant.say()
    axon_command(tenant.axon, "limits", "remove", "few")
