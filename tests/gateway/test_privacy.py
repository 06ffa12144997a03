"""A person is exported, held, and forgotten; nobody else notices."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.gateway.audited import Client, client_of, soon
from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon
from tests.gateway.test_audit import ended

CANARY = "zanzibar-canary"
LABEL = "lisbon-label"
"""Metadata is never sealed, because it is filtered by."""


@pytest.fixture(scope="module")
def product(axon: RunningAxon) -> Client:
    """The back end of a product, whose key acts for users."""
    axon_command(axon, "orgs", "create", "forgetful")
    of_it = ("--org", "forgetful", "--user", "backend")
    axon_command(axon, "users", "create", "backend", *of_it[:2])
    made = axon_command(axon, "keys", "create", *of_it, "--name", "a", "--acts-for-users")
    return Client(axon.base_url, str(made["secret"]))


@pytest.fixture(scope="module")
def officer(axon: RunningAxon, product: Client) -> Client:
    return client_of(axon, "forgetful", "petra", "privacy_officer", "auditor")


def talk(product: Client, officer: Client, user: str) -> tuple[str, str]:
    """Have a person say the canary in every place there is; return conversation and turn."""
    me = {"safety_identifier": user}
    conversation = product.post("/conversations", metadata={"topic": LABEL}, **me)["id"]
    product.post(f"/conversations/{conversation}", title=f"About {CANARY}")
    turn = product.say(f"{CANARY} of {user}", conversation=conversation, **me)["id"]
    product.post("/feedback", response_id=turn, rating="up", comment=CANARY, edited=CANARY)
    product.post(
        "/chat/completions",
        model="fake-model",
        messages=[{"role": "user", "content": CANARY}],
        store=True,
        metadata={"label": LABEL},
        **me,
    )
    soon(lambda: ended(officer, turn))
    soon(lambda: product.ask("GET", f"/feedback/{turn}")[0] == 200)
    return conversation, turn


def said(product: Client, conversation: str) -> str:
    return str(product.ask("GET", f"/conversations/{conversation}/items"))


def exported(client: Client, **whom: str) -> dict[str, str]:
    answer = client.send("POST", "/privacy/export", {"reason": "asked for it", **whom})
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_an_export_holds_all_of_one_person_and_nothing_of_another(
    product: Client, officer: Client
) -> None:
    _, turn = talk(product, officer, "eve")
    talk(product, officer, "mallory")
    files = exported(officer, user="eve")
    items = [json.loads(line) for line in files["items.jsonl"].splitlines()]
    assert [one["author"] for one in items] == ["user", "assistant"]
    assert f"{CANARY} of eve" in files["index.html"]
    assert f"About {CANARY}" in files["conversations.jsonl"]
    assert turn in files["turns.jsonl"] and f"{CANARY} of eve" in files["turns.jsonl"]
    assert CANARY in files["feedback.jsonl"] and "fake-model" in files["usage.jsonl"]
    assert "mallory" not in str(files)
    assert exported(product, user="eve").keys() == files.keys(), "a key that acts for users"
    log = soon(lambda: [
        one for one in officer.get("/audit/log")["data"] if one["action"] == "exported"
    ])  # fmt: skip
    assert log[0]["reason"] == "asked for it"


def test_a_person_is_forgotten_and_nobody_else(product: Client, officer: Client) -> None:
    conversation, turn = talk(product, officer, "bob")
    other, _ = talk(product, officer, "carol")
    answer = officer.post("/privacy/erase", user="bob", reason="asked on 3 May")
    receipt = json.loads(answer["document"])
    assert receipt == answer["receipt"] and receipt["keys"] == 1
    print(f"forgotten in {receipt['took_ms']} ms")
    assert receipt["took_ms"] < 60_000
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(answer["public_key"]))
    key.verify(bytes.fromhex(answer["signature"]), answer["document"].encode())
    counts = {one["store"]: one["count"] for one in receipt["stores"]}
    assert counts["conversations.items"] == 2 and counts["audit.turns: requests and content"] == 2
    assert counts["feedback.feedback: comments and edits"] == 1
    assert counts["conversations.conversations: titles and metadata"] >= 1
    assert CANARY not in said(product, conversation)
    shown = str(product.ask("GET", f"/conversations/{conversation}"))
    assert CANARY not in shown and LABEL not in shown
    assert CANARY not in str(product.ask("GET", f"/responses/{turn}"))
    assert CANARY not in str(exported(officer, user="bob"))
    read = officer.post(f"/audit/turns/{turn}/content", reason="is it gone?")
    assert read["erased"] and CANARY not in str(read)
    assert read["feedback"]["rating"] == "up"
    assert CANARY in said(product, other)
    assert receipt["id"] in str(officer.get("/privacy/receipts"))
    again = product.say(f"{CANARY} again", safety_identifier="bob")
    assert CANARY in str(product.get(f"/responses/{again['id']}")), "who comes back begins anew"


def test_a_hold_refuses_it_until_it_ends(product: Client, officer: Client) -> None:
    conversation, _ = talk(product, officer, "dave")
    hold = officer.post("/audit/holds", conversation=conversation, reason="lawsuit 7")
    status, told = officer.ask("POST", "/privacy/erase", {"user": "dave", "reason": "asked"})
    assert (status, told["error"]["code"]) == (409, "legal_hold")
    assert "lawsuit 7" in told["error"]["message"]
    assert CANARY in said(product, conversation)
    (held,) = [one for one in officer.get("/audit/holds")["data"] if one["id"] == hold["id"]]
    assert held["conversation"] == conversation
    assert officer.ask("DELETE", f"/audit/holds/{hold['id']}")[0] == 400, "without a reason"
    ended_hold = officer.ask("DELETE", f"/audit/holds/{hold['id']}?reason=settled")
    assert ended_hold[0] == 200
    assert officer.ask("DELETE", f"/audit/holds/{hold['id']}?reason=settled")[0] == 404
    officer.post("/privacy/erase", user="dave", reason="asked")
    assert CANARY not in said(product, conversation)


def test_only_the_person_and_who_may_acts(
    axon: RunningAxon, product: Client, officer: Client
) -> None:
    conversation, _ = talk(product, officer, "frank")
    stranger = client_of(axon, "forgetful", "eavesdropper")
    for path in ("/privacy/erase", "/privacy/export"):
        asked = {"user": "frank", "reason": "curious"}
        assert stranger.ask("POST", path, asked)[0] == 403, path
        assert officer.ask("POST", path, {"user": "frank"})[0] == 400, "without a reason"
    frank = Client(axon.base_url, product.post("/user_passes", user="frank")["value"])
    assert f"{CANARY} of frank" in str(exported(frank))
    other_org = Client(axon.base_url, axon.api_key)
    other_org.post("/privacy/erase", user="frank", reason="another organization's frank")
    assert CANARY in said(product, conversation)
    frank.post("/privacy/erase", reason="I want to")
    assert CANARY not in said(product, conversation)


def test_nothing_that_was_said_is_on_the_disk_in_clear(
    axon: RunningAxon, product: Client, officer: Client
) -> None:
    """Journals, PostgreSQL's and Valkey's files and logs; what is sealed cannot be searched."""
    talk(product, officer, "grace")
    files = [path for path in axon.data.rglob("*") if path.is_file() and path.stat().st_size]
    assert any(path.suffix == ".segment" for path in files)
    found = {path.name for path in files if holds(path, LABEL.encode())}
    assert found, "the negative control: metadata is clear"
    assert [path for path in files if holds(path, CANARY.encode())] == []


def holds(path: Path, words: bytes) -> bool:
    try:
        return words in path.read_bytes()
    except (FileNotFoundError, PermissionError):  # it went meanwhile, or is the server's own
        return False
