"""`/openapi.json` is true: made-up requests, right and wrong ones, on a whole running Axon."""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.api import ApiFuzz
from tests.fuzz.processes import Sizes
from tests.fuzz.tenants import CANARY, MODEL, with_meters
from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon, start_axon, stop

EXAMPLES = 6
"""Of each operation and mode; `make fuzz` asks for as long as it is told to."""

UNREACHED_MAX = 4
"""Operations that no made-up request of so few was right for."""

FORBIDDEN = ("/v1/limit_rules", "/v1/prices", "/v1/tiers", "/v1/webhooks", "/v1/alerts/")
"""Want permissions the made-up requests do not have: a made-up rule would refuse the others, and a
made-up webhook would have names looked up."""

UNLIKELY = (
    "PUT /v1/flags/", "/v1/flag_schedules/", "/v1/experiments/", "/ofrep/v1/events",
    "POST /v1/audit/", "DELETE /v1/audit/",
)  # fmt: skip
"""Want a definition that means something, an experiment with a flag, a change that waits for its
time, a token, a request of somebody else's, or a hold."""

NOBODY = "https://127.0.0.1:9/axon"
"""A webhook for an example to name: its own host is not there to be found."""

SECRET = "whsec_" + "7" * 32

SIGNED = "/v1/stripe/events"
"""Wants a signature where all others want a key."""

QUIET_S = 1.0
"""After so long without an answer a request is taken to lack something."""

GROWTH_BYTES_MAX = 96 * 1024 * 1024
"""Caches fill in the first requests; a leak of the bodies would be found by `make fuzz`."""


@pytest.fixture(scope="module")
def fuzzed(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    """An Axon of its own: what is made up here is nobody else's to list."""
    folder = tmp_path_factory.mktemp("fuzzed")
    environment = {
        **with_meters(folder),
        "AXON_ALERTS_ALLOWED_NETWORKS": "127.0.0.0/8",
        "AXON_STRIPE_WEBHOOK_SECRET": SECRET,
    }
    process, running = start_axon(folder / "data", upstream_address, environment=environment)
    yield running
    stop(process)


@pytest.fixture(scope="module")
def fuzz(fuzzed: RunningAxon) -> ApiFuzz:
    """The requests, and the stranger whose words they must not find."""
    return ApiFuzz(fuzzed)


def test_every_operation_keeps_to_the_document(fuzzed: RunningAxon, fuzz: ApiFuzz) -> None:
    before = Sizes.of(fuzzed.pids["serving"])
    asked = fuzz.run(1, EXAMPLES)
    grown = Sizes.of(fuzzed.pids["serving"]).resident_bytes - before.resident_bytes
    labels = [
        label
        for label in asked.statuses
        if not any(path in label for path in (*FORBIDDEN, *UNLIKELY))
    ]
    unreached = [label for label in labels if not asked.reached(label)]
    print(f"{asked.requests} requests, {grown} bytes more, never answered as asked: {unreached}")
    assert len(asked.statuses) == sum(map(len, fuzz.document["paths"].values()))
    assert len(unreached) <= UNREACHED_MAX
    assert grown < GROWTH_BYTES_MAX
    for path in ("/status", "/metrics"):
        assert CANARY not in requests.get(f"{fuzzed.origin}{path}", timeout=30).text


def test_a_word_of_another_organization_would_be_seen(fuzzed: RunningAxon, fuzz: ApiFuzz) -> None:
    """The negative control: the words are there, for whoever may see them."""
    found = fuzz.stranger.session.get(f"{fuzzed.base_url}/conversations", timeout=30)
    assert CANARY in found.text


def test_every_operation_wants_a_key(fuzzed: RunningAxon) -> None:
    document = requests.get(f"{fuzzed.origin}/openapi.json", timeout=30).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = requests.request(method, fuzzed.origin + path, timeout=30)
            expected = 200 if operation.get("security") == [] else 401
            expected = 400 if path == SIGNED else expected
            assert answer.status_code == expected, f"{method} {path}"


def audited_turn(axon: RunningAxon, key: dict[str, str]) -> str:
    """Return a turn that auditors already see."""
    asked = {"model": MODEL, "input": "hi"}
    made = requests.post(f"{axon.base_url}/responses", json=asked, headers=key, timeout=30).json()
    url = f"{axon.base_url}/audit/turns/{made['id']}"
    while requests.get(url, headers=key, timeout=30).status_code == 404:
        time.sleep(0.02)
    return str(made["id"])


def test_the_examples_of_the_document_work(fuzzed: RunningAxon) -> None:
    axon_command(fuzzed, "orgs", "create", "exemplary")
    of_it = ("--org", "exemplary", "--user", "ada")
    permitted = [
        word
        for name in ("limits", "prices", "alerts", "flags", "auditor", "privacy_officer", "trainer")
        for word in ("--permission", name)
    ]
    axon_command(fuzzed, "users", "create", "ada", *of_it[:2], *permitted)
    made = axon_command(fuzzed, "keys", "create", *of_it, "--name", "a", "--acts-for-users")
    key = {"authorization": f"Bearer {made['secret']}"}
    turn = audited_turn(fuzzed, key)
    document = requests.get(f"{fuzzed.origin}/openapi.json", timeout=30).json()
    for path, operations in document["paths"].items():
        example = operations.get("post", {}).get("requestBody")
        if example is None or "{" in path:
            continue
        body = example["content"]["application/json"]["example"]
        if "model" in body:
            body["model"] = MODEL
        if "url" in body:
            body["url"] = NOBODY
        for name in ("response_id", "turn"):
            if name in body:
                body[name] = turn
        data = json.dumps(body)
        signature = stripe.WebhookSignature.generate_signature_header(data, SECRET)
        headers = {**key, "content-type": "application/json", "stripe-signature": signature}
        answer = requests.post(fuzzed.origin + path, data=data, headers=headers, timeout=30)
        assert answer.status_code in (200, 204), f"{path}: {answer.text}"


def test_what_was_found_once_is_refused(fuzz: ApiFuzz) -> None:
    session, url = fuzz.stranger.session, f"{fuzz.origin}/v1/responses"
    not_ours = {"type": "compaction", "encrypted_content": "\u00b5"}
    answer = session.post(url, json={"model": MODEL, "input": [not_ours]}, timeout=30)
    assert answer.status_code == 400, "it was a 500"
    answer = session.get(f"{url}/resp_{'0' * 50}?stream=maybe", timeout=30)
    assert answer.json()["error"]["param"] == "stream", "it was taken for false"


def ask_raw(axon: RunningAxon, head: bytes, body: bytes) -> bytes:
    """Send these bytes and return the first line of what comes back; empty when nothing does."""
    place = urlsplit(axon.origin)
    with socket.create_connection((place.hostname, place.port), timeout=15) as connection:
        connection.sendall(head + b"\r\n\r\n" + body)
        connection.settimeout(QUIET_S)
        try:
            return connection.recv(65536).split(b"\r\n")[0]
        except TimeoutError:  # it waits for the rest of a body that was announced
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(15)
            return connection.recv(65536).split(b"\r\n")[0]


_NAMES = [
    b"authorization", b"idempotency-key", b"last-event-id", b"content-length", b"content-type",
    b"transfer-encoding", b"x-stainless-retry-count", b"expect", b"connection", b"host",
]  # fmt: skip
_VALUES = st.one_of(
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
    st.sampled_from(
        [
            b"", b"-1", b"0", b"99999999999999999999999", b"1e9", b"0x10", b"chunked", b"Bearer",
            b"Bearer ", b"Bearer sk-axon-", b"Bearer up-axon-.", b"Bearer up-axon-" + b"A" * 300,
            "²".encode(), b"9" * 5000, b"100-continue", b"close",
        ]
    ),
)  # fmt: skip


def test_headers_that_make_no_sense_are_no_failure_of_ours(fuzzed: RunningAxon) -> None:
    body = json.dumps({"model": MODEL, "input": "hi", "store": False}).encode()
    paths = [b"/v1/responses", b"/v1/conversations", b"/v1/sync", b"/status", b"/v1/%00", b"/v1/"]

    seen: Counter[bytes] = Counter()

    @settings(max_examples=80, deadline=None, derandomize=True, database=None)
    @given(
        st.sampled_from([b"POST", b"GET", b"DELETE", b"PATCH"]),
        st.sampled_from(paths),
        st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES), max_size=4),
    )
    def ask(method: bytes, path: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        usual = {b"host": b"axon", b"authorization": b"Bearer " + fuzzed.api_key.encode()}
        usual[b"content-length"] = b"%d" % len(body)
        lines = [b"%b: %b" % pair for pair in {**usual, **dict(headers)}.items()]
        head = b"\r\n".join([method + b" " + path + b" HTTP/1.1", *lines])
        first = ask_raw(fuzzed, head, body)
        seen[first[9:12]] += 1
        assert first == b"" or first.startswith(b"HTTP/1.1 ")
        assert first[9:10] != b"5", first

    ask()
    print(seen)
    assert {b"200", b"400", b"401", b"404"} <= seen.keys()
