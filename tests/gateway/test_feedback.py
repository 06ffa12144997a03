"""What people think of answers: given, given anew, taken back, and who sees it."""

from typing import Any

import pytest

from tests.gateway.audited import Client, client_of, soon
from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon


@pytest.fixture(scope="module")
def people(axon: RunningAxon) -> dict[str, Client]:
    axon_command(axon, "orgs", "create", "judging")
    return {
        "ada": client_of(axon, "judging", "ada"),
        "bob": client_of(axon, "judging", "bob"),
        "auditor": client_of(axon, "judging", "carl", "auditor"),
    }


def given(client: Client, response_id: str) -> dict[str, Any] | None:
    status, found = client.ask("GET", f"/feedback/{response_id}")
    return found if status == 200 else None


def test_it_is_given_given_anew_and_taken_back(people: dict[str, Client]) -> None:
    ada = people["ada"]
    answer, other = ada.say("one")["id"], ada.say("two")["id"]
    assert given(ada, answer) is None
    made = ada.post("/feedback", response_id=answer, rating="down", comment="größer\0", edited="1!")
    assert (made["rating"], made["comment"], made["edited"]) == ("down", "größer\0", "1!")
    found = soon(lambda: given(ada, answer))
    assert {**found, "model": None, "variants": []} == {**made, "model": None, "variants": []}
    assert found["model"] == "fake-model"
    again = {"response_id": answer, "rating": "up", "preferred_over": other}
    ada.post("/feedback", **again)
    ada.post("/feedback", **again)
    found = soon(lambda: (one := given(ada, answer)) and one["rating"] == "up" and one)
    assert (found["comment"], found["preferred_over"]) == (None, other)
    (listed,) = ada.get("/feedback?rating=up&model=fake-model")["data"]
    assert listed == found
    assert ada.ask("DELETE", f"/feedback/{answer}")[0] == 200
    soon(lambda: given(ada, answer) is None)
    assert ada.get("/feedback")["data"] == []


def test_only_who_may_sees_it(people: dict[str, Client], axon: RunningAxon) -> None:
    ada, bob, auditor = people["ada"], people["bob"], people["auditor"]
    answer = ada.say("mine")["id"]
    ada.post("/feedback", response_id=answer, rating="down", comment="canary words")
    soon(lambda: given(ada, answer))
    stranger = Client(axon.base_url, axon.api_key)
    for client in (bob, auditor, stranger):
        for method in ("GET", "DELETE"):
            assert client.ask(method, f"/feedback/{answer}")[0] == 404
        assert client.ask("POST", "/feedback", {"response_id": answer, "rating": "up"})[0] == 404
    assert bob.ask("GET", "/feedback?of=organization")[0] == 403
    assert bob.get("/feedback")["data"] == []
    (seen,) = auditor.get("/feedback?of=organization&rating=down")["data"]
    assert (seen["response_id"], seen["rating"], seen["comment"]) == (answer, "down", None)
    others = stranger.get("/feedback?of=organization&rating=down")["data"]
    assert answer not in [one["response_id"] for one in others]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "response_id"),
        ({"rating": "sideways"}, "rating"),
        ({"rating": 1}, "rating"),
        ({"comment": ""}, "rating"),
        ({"comment": "x" * 10_001}, "comment"),
    ],
)
def test_what_makes_no_sense_is_a_400(
    people: dict[str, Client], body: dict[str, Any], param: str
) -> None:
    ada = people["ada"]
    named = {"response_id": ada.say("x")["id"]} if body else {}
    status, told = ada.ask("POST", "/feedback", {**named, **body})
    assert (status, told["error"]["param"]) == (400, param)


def test_a_page_ends_and_the_next_goes_on(people: dict[str, Client]) -> None:
    bob = people["bob"]
    answers = [bob.say(f"page {number}")["id"] for number in range(3)]
    for answer in answers:
        bob.post("/feedback", response_id=answer, rating="up")
    soon(lambda: len(bob.get("/feedback")["data"]) == 3)
    first = bob.get("/feedback?limit=2")
    assert first["has_more"] and [one["response_id"] for one in first["data"]] == answers[:0:-1]
    rest = bob.get(f"/feedback?limit=2&after={first['last_id']}")
    assert [one["response_id"] for one in rest["data"]] == answers[:1] and not rest["has_more"]
    for wrong in ("after=x", "since=x", "rating=x", "limit=0"):
        assert bob.ask("GET", f"/feedback?{wrong}")[0] == 400, wrong
