"""What Stripe sends comes in signed, without a key, bounded, and is kept for the scheduler."""

import asyncio
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import stripe

from axon.app.embedded import EmbeddedPostgres
from axon.gateway.stripe_events import EVENT_BYTES_MAX
from tests.gateway.conftest import RunningAxon, start_axon, stop

SECRET = "whsec_" + "7" * 32
EVENT = {"id": "evt_1", "object": "v2.core.event"}
REPORT = "v1.billing.meter.error_report_triggered"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[RunningAxon]:
    """An Axon that Stripe sends events to."""
    process, running = start_axon(
        tmp_path_factory.mktemp("stripe"),
        upstream_address,
        environment={"AXON_STRIPE_WEBHOOK_SECRET": SECRET},
    )
    yield running
    stop(process)


def send(axon: RunningAxon, body: str, signature: str | None) -> tuple[int, dict[str, object]]:
    """Return the status and the answer."""
    headers = {} if signature is None else {"Stripe-Signature": signature}
    url = f"{axon.base_url}/stripe/events"
    request = urllib.request.Request(url, body.encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


def signed(body: str, secret: str = SECRET, age_s: int = 0) -> str:
    at = int(time.time()) - age_s
    header: str = stripe.WebhookSignature.generate_signature_header(body, secret, at)
    return header


def reports(data: Path) -> list[str]:
    async def read() -> list[str]:
        connection = await asyncpg.connect(EmbeddedPostgres(data).url())
        rows = await connection.fetch("SELECT report_id FROM billing.stripe_reports")
        await connection.close()
        return [row["report_id"] for row in rows]

    return asyncio.run(read())


@pytest.mark.failure("stripe", "lying")
def test_only_what_stripe_has_signed_is_kept(told: RunningAxon) -> None:
    body = json.dumps({**EVENT, "type": REPORT})
    for signature in (None, "t=1,v1=00", signed(body, "whsec_x"), signed(body, age_s=301)):
        status, answer = send(told, body, signature)
        assert (status, answer["code"]) == (400, "invalid_signature")
    assert reports(told.data) == []
    for _ in range(2):
        assert send(told, body, signed(body)) == (200, {"object": "stripe_event", "kept": True})
    other = json.dumps({**EVENT, "id": "evt_2", "type": "invoice.paid"})
    assert send(told, other, signed(other)) == (200, {"object": "stripe_event", "kept": False})
    assert reports(told.data) == ["evt_1"]
    status, answer = send(told, "[]", signed("[]"))
    assert (status, answer["code"]) == (400, "invalid_event")


def test_a_body_is_bounded_before_it_is_looked_at(told: RunningAxon) -> None:
    long = "x" * (EVENT_BYTES_MAX + 1)
    host, port = told.origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /v1/stripe/events HTTP/1.1\r\nhost: x\r\ncontent-length: {len(long)}\r\n"
        connection.sendall(f"{head}stripe-signature: {signed(long)}\r\n\r\n".encode())
        assert connection.recv(1000).split(b" ")[1] == b"413"  # nothing of it was sent


def test_without_a_secret_there_is_no_such_route(axon: RunningAxon) -> None:
    body = json.dumps({**EVENT, "type": REPORT})
    status, answer = send(axon, body, signed(body))
    assert (status, answer["code"]) == (404, "unknown_url")
