"""Auditors look for turns and read them, and each reading is written down."""

from functools import partial
from typing import Any

import pytest

from axon.audit import AuditUnavailable
from axon.gateway.problems import problem_of
from tests.gateway.audited import MODEL, Client, client_of, soon
from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon


@pytest.fixture(scope="module")
def people(axon: RunningAxon) -> dict[str, Client]:
    axon_command(axon, "orgs", "create", "audited")
    return {
        "ada": client_of(axon, "audited", "ada"),
        "auditor": client_of(axon, "audited", "carl", "auditor"),
        "second": client_of(axon, "audited", "dora", "auditor"),
        "operator": client_of(axon, "audited", "otto", "operator"),
        "officer": client_of(axon, "audited", "petra", "privacy_officer"),
        "admin": client_of(axon, "audited", "alma", "admin"),
    }


def seen(client: Client, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/audit/turns?{query}")["data"]
    return found


def ended(client: Client, turn_id: str) -> dict[str, Any] | None:
    """Return the turn once the audit has its end."""
    status, turn = client.ask("GET", f"/audit/turns/{turn_id}")
    return turn if status == 200 and turn["status"] != "in_progress" else None


def test_a_response_and_a_chat_are_read_whole(people: dict[str, Client]) -> None:
    ada, auditor = people["ada"], people["auditor"]
    response = ada.say("canary", temperature=0.5, instructions="be brief")
    chat = ada.post(
        "/chat/completions",
        model=MODEL,
        messages=[{"role": "user", "content": "[[text:chirp]] sing"}],
        top_p=0.25,
    )
    ada.post("/feedback", response_id=response["id"], rating="down", comment="no bird")
    for turn_id in (response["id"], chat["id"]):
        turn = soon(partial(ended, auditor, turn_id))
        assert (turn["status"], turn["model"]) == ("completed", MODEL)
        assert len(turn["sequences"]) == 2 and turn["output_tokens"] > 0
    soon(lambda: seen(auditor, "feedback=down"))
    read = auditor.post(f"/audit/turns/{response['id']}/content", reason="complaint 1")
    assert read["request"]["temperature"] == 0.5 and read["request"]["instructions"] == "be brief"
    assert "canary" in str(read["input"][0]["content"])
    assert read["output"][0]["content"]["content"][0]["text"] == "canary"
    assert read["feedback"]["comment"] == "no bird" and not read["erased"]
    read = auditor.post(f"/audit/turns/{chat['id']}/content", reason="complaint 2")
    assert read["request"]["top_p"] == 0.25
    assert "chirp" in str(read["answer"]) and read["input"] == []
    log = soon(lambda: [
        one for one in auditor.get("/audit/log")["data"] if one["objects"] == [chat["id"]]
    ])  # fmt: skip
    assert (log[0]["action"], log[0]["reason"]) == ("read", "complaint 2")
    assert log[0]["subject_id"] == read["turn"]["user_id"]


def test_turns_are_found_by_what_is_known_of_them(people: dict[str, Client]) -> None:
    ada, auditor = people["ada"], people["auditor"]
    ids = [ada.say(f"findable {number}")["id"] for number in range(3)]
    for turn_id in ids:
        soon(partial(ended, auditor, turn_id))
    page = auditor.get("/audit/turns?user=ada&limit=2")
    assert [one["id"] for one in page["data"]] == ids[:0:-1] and page["has_more"]
    rest = auditor.get(f"/audit/turns?user=ada&limit=1&after={page['last_id']}")
    assert [one["id"] for one in rest["data"]] == ids[:1]
    number = page["data"][0]["user_id"]
    assert ids[0] in [one["id"] for one in seen(auditor, f"user_id={number}&status=completed")]
    for nothing in (
        "user=nobody", "model=other", "variant=tone:warm", "flag=tone", "since=9999999999",
        "until=1", "status=failed", "safety=strict", "user_id=0000000000000000",
    ):  # fmt: skip
        assert seen(auditor, nothing) == [], nothing
    for wrong in ("feedback=x", "after=x", "user_id=x", "limit=101", "flag=%00"):
        assert auditor.ask("GET", f"/audit/turns?{wrong}")[0] == 400, wrong


def test_each_permission_reaches_its_own_and_no_more(
    people: dict[str, Client], axon: RunningAxon
) -> None:
    turn_id = people["ada"].say("not for all")["id"]
    soon(lambda: ended(people["auditor"], turn_id))
    content = f"/audit/turns/{turn_id}/content"
    allowed = {
        ("GET", "/audit/turns"): {"auditor", "operator"},
        ("GET", f"/audit/turns/{turn_id}"): {"auditor", "operator"},
        ("POST", content): {"auditor"},
        ("GET", "/audit/log"): {"auditor", "officer"},
        ("GET", "/audit/requests"): {"auditor"},
        ("POST", "/audit/requests"): {"auditor"},
        ("GET", "/audit/holds"): {"auditor", "officer"},
        ("POST", "/audit/holds"): {"officer"},
        ("GET", "/privacy/receipts"): {"officer"},
    }
    body = {"reason": "matrix", "turn": turn_id, "user": "nobody in particular"}
    for (method, path), names in allowed.items():
        for name, client in people.items():
            if name != "second":
                status = client.ask(method, path, body if method == "POST" else None)[0]
                assert status == (200 if name in names else 403), (method, path, name)
    assert people["auditor"].ask("POST", content, {})[0] == 400, "without a reason"
    stranger = Client(axon.base_url, axon.api_key)  # an auditor of another organization
    assert stranger.ask("GET", f"/audit/turns/{turn_id}")[0] == 404
    assert stranger.ask("POST", content, {"reason": "curious"})[0] == 404
    assert turn_id not in [one["id"] for one in seen(stranger, "limit=100")]
    a_pass = Client(axon.base_url, stranger.post("/user_passes", user="zoe")["value"])
    assert a_pass.ask("GET", "/audit/turns")[0] == 403


def test_a_request_is_approved_by_another_auditor(people: dict[str, Client]) -> None:
    auditor, second = people["auditor"], people["second"]
    turn_id = people["ada"].say("asked for")["id"]
    soon(lambda: ended(auditor, turn_id))
    made = auditor.post("/audit/requests", turn=turn_id, reason="complaint 3")
    assert made["state"] == "waiting"
    approve = f"/audit/requests/{made['id']}/approve"
    status, told = auditor.ask("POST", approve, {"reason": "by myself"})
    assert (status, told["error"]["code"]) == (409, "own_request")
    assert second.post(approve, reason="seen it")["state"] == "approved"
    assert made["id"] in [one["id"] for one in second.get("/audit/requests")["data"]]
    assert second.ask("POST", "/audit/requests/areq_0/approve", {"reason": "x"})[0] == 404


def test_without_postgresql_it_is_a_503_that_passes() -> None:
    problem = problem_of(AuditUnavailable("away"))
    assert (problem.status, problem.code) == (503, "audit_unavailable")
