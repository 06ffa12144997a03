"""`/v1/prices`: prices are listed and set by who may, and turns are charged by them."""

from typing import Any

import pytest

from tests.gateway.audited import MODEL, Client, client_of
from tests.gateway.commands import axon_command, axon_lines
from tests.gateway.conftest import RunningAxon
from tests.gateway.flag_calls import fresh

RATES = {"input_nano": 1_000_000_000, "output_nano": 2_000_000_000}


@pytest.fixture(scope="module")
def org(axon: RunningAxon) -> str:
    """An organization of its own."""
    return str(axon_command(axon, "orgs", "create", fresh("priced"))["org_id"])


@pytest.fixture(scope="module")
def setter(axon: RunningAxon, org: str) -> Client:
    """A key that may set prices."""
    return client_of(axon, org, "sets prices", "prices")


def test_a_price_ends_the_one_before_it_and_is_a_deed(axon: RunningAxon, setter: Client) -> None:
    first = setter.post("/prices", model="listed", rates=RATES, effective_from=1_790_000_000)
    assert first["changed"] and first["ended"] is None
    assert first["price"]["effective_to"] is None and first["price"]["currency"] == "USD"
    asked = {"model": "listed", "rates": {**RATES, "cache_read_nano": 5}, "currency": "EUR"}
    tiers = [{"above_input_tokens": 200_000, "rates": RATES}]
    second = setter.post("/prices", **asked, effective_from=1_800_000_000, tiers=tiers)
    assert second["ended"]["id"] == first["price"]["id"]
    assert second["price"]["tiers"][0]["rates"]["output_nano"] == RATES["output_nano"]
    again = setter.post("/prices", **asked, effective_from=1_800_000_000, tiers=tiers)
    assert (again["changed"], again["price"]) == (False, None)
    found = [one for one in setter.get("/prices")["data"] if one["model"] == "listed"]
    assert [one["effective_to"] for one in found] == [1_800_000_000, None]
    assert found[1]["rates"] == {
        **RATES, "cache_read_nano": 5, "cache_write_nano": None, "reasoning_nano": None,
    }  # fmt: skip
    deeds = axon_lines(axon, "audit", "changes")
    by = {one["object"]: one["actor"]["origin"] for one in deeds if "price" in one["action"]}
    assert by[first["price"]["id"]] == by[second["price"]["id"]] == "api"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "wrong"}, "rates"),
        ({"rates": RATES}, "model"),
        ({"model": "wrong", "rates": {"input_nano": 1}}, "rates"),
        ({"model": "wrong", "rates": {**RATES, "input_nano": -1}}, "rates.input_nano"),
        ({"model": "wrong", "rates": {**RATES, "more": 1}}, "rates"),
        ({"model": "wrong", "rates": RATES, "effective_from": 2**40}, "effective_from"),
        ({"model": "wrong", "rates": RATES, "effective_from": 9, "effective_to": 8}, None),
        ({"model": "wrong", "rates": RATES, "currency": "euro"}, None),
        ({"model": "wr\0ng", "rates": RATES}, None),
        ({"model": "wrong", "rates": RATES, "per_request_nano": -1}, None),
    ],
)
def test_what_is_no_price_is_refused_and_nothing_is_set(
    setter: Client, body: dict[str, Any], param: str | None
) -> None:
    status, refused = setter.ask("POST", "/prices", body)
    assert (status, refused["error"]["param"]) == (400, param), refused
    assert not [one for one in setter.get("/prices")["data"] if one["model"].startswith("wr")]


def test_who_may_not_set_prices_neither_sees_nor_sets_them(axon: RunningAxon, org: str) -> None:
    person = client_of(axon, org, "sees usage", "usage")
    assert person.ask("GET", "/prices")[0] == 403
    assert person.ask("POST", "/prices", {"model": MODEL, "rates": RATES})[0] == 403
