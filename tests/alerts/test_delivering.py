"""Webhooks are signed as the published verifier wants it, tried again, and led nowhere else."""

import asyncio
import base64
from ipaddress import ip_network
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError

from axon.alerts import (
    AdminParts,
    AlertsAdmin,
    Allowed,
    Deliveries,
    DeliveryOptions,
    UnknownAlert,
    UnknownEndpoint,
    UnusableUrl,
)
from axon.alerts.delivering import AT_ONCE, AT_ONCE_TO_ONE
from axon.alerts.store import Attempt
from axon.base import MICROS_PER_SECOND, SystemRandomness
from axon.sealing import Keyring
from axon.stores import Postgres
from tests.alerts.receiver import LOOPBACK, Receiver
from tests.journal.journals import TurnedClock

ORG = "org_1"
RETRIES_S = (5, 300)


@pytest.fixture
def deliveries(
    postgres: Postgres, keyring: Keyring, clock: TurnedClock, receiver: Receiver
) -> Deliveries:
    options = DeliveryOptions(
        allowed=LOOPBACK, timeout_s=5.0, ca_path=str(receiver.ca_path), retries_s=RETRIES_S
    )
    return Deliveries(postgres, keyring, clock, options)


async def only(admin: AlertsAdmin) -> Attempt:
    (found,) = await admin.deliveries()
    return found


def later(clock: TurnedClock, seconds: float) -> None:
    clock.ahead_us += round(seconds * MICROS_PER_SECOND)


async def test_a_message_passes_the_published_verifier(
    admin: AlertsAdmin, deliveries: Deliveries, receiver: Receiver
) -> None:
    made = await admin.add_endpoint(receiver.url, ORG)
    assert made.secret.startswith("whsec_")
    alert_id = await admin.test(ORG)
    await deliveries.deliver_due()
    (got,) = receiver.got
    message = got.verified(made.secret)
    assert (message["type"], message["data"]["org_id"]) == ("alert.test", ORG)
    assert got.headers["webhook-id"] == alert_id
    assert got.request == "POST /hook?of=axon HTTP/1.1"
    attempt = await only(admin)
    assert (attempt.state, attempt.attempts, attempt.status) == ("delivered", 1, 204)
    await deliveries.deliver_due()
    assert len(receiver.got) == 1, "once delivered, it is not sent again"
    got.body += b" "
    with pytest.raises(WebhookVerificationError):
        got.verified(made.secret)


async def test_an_alert_goes_to_its_organization_and_to_who_wants_all(
    admin: AlertsAdmin, deliveries: Deliveries, receiver: Receiver
) -> None:
    own = await admin.add_endpoint(receiver.url, ORG)
    everything = await admin.add_endpoint(receiver.url, "")
    await admin.add_endpoint(receiver.url, "org_2")
    await admin.test(ORG)
    await deliveries.deliver_due()
    told = {one.endpoint_id for one in await admin.deliveries()}
    assert told == {own.endpoint_id, everything.endpoint_id}
    assert len(receiver.got) == 2


@pytest.mark.failure("webhooks", "down")
async def test_a_receiver_that_was_down_gets_it_by_the_schedule(
    admin: AlertsAdmin, deliveries: Deliveries, receiver: Receiver, clock: TurnedClock
) -> None:
    made = await admin.add_endpoint(receiver.url, ORG)
    alert_id = await admin.test(ORG)
    await receiver.stop()
    await deliveries.deliver_due()
    attempt = await only(admin)
    assert (attempt.state, attempt.attempts, attempt.status) == ("waiting", 1, 0)
    assert "127.0.0.1" in attempt.error
    await receiver.start()
    await deliveries.deliver_due()
    assert receiver.got == [], "not before its time"
    later(clock, RETRIES_S[0])
    await deliveries.deliver_due()
    (got,) = receiver.got
    got.verified(made.secret)
    assert got.headers["webhook-id"] == alert_id
    assert (await only(admin)).state == "delivered"


@pytest.mark.failure("webhooks", "refusing")
@pytest.mark.parametrize("status", [b"500 No", b"404 No", b"429 No", b"301 Moved"])
async def test_it_is_given_up_after_the_schedule_and_sent_again_when_asked(
    admin: AlertsAdmin,
    deliveries: Deliveries,
    receiver: Receiver,
    clock: TurnedClock,
    status: bytes,
) -> None:
    await admin.add_endpoint(receiver.url, ORG)
    alert_id = await admin.test(ORG)
    receiver.answer = b"HTTP/1.1 " + status + b"\r\nlocation: http://169.254.169.254/\r\n\r\n"
    for wait_s in (0, *RETRIES_S, 86_400):
        later(clock, wait_s)
        await deliveries.deliver_due()
    attempt = await only(admin)
    assert (attempt.state, attempt.attempts, len(receiver.got)) == ("failed", 3, 3)
    assert attempt.status == int(status.split()[0])
    receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n"
    assert await admin.redeliver(alert_id) == 1
    await deliveries.deliver_due()
    assert (await only(admin)).state == "delivered"
    assert {got.headers["webhook-id"] for got in receiver.got} == {alert_id}


@pytest.mark.failure("webhooks", "frozen")
@pytest.mark.failure("webhooks", "slow")
async def test_a_receiver_that_never_answers_holds_up_nobody_for_long(
    postgres: Postgres,
    keyring: Keyring,
    clock: TurnedClock,
    admin: AlertsAdmin,
    receiver: Receiver,
) -> None:
    options = DeliveryOptions(allowed=LOOPBACK, timeout_s=0.5, ca_path=str(receiver.ca_path))
    receiver.answer = None
    await admin.add_endpoint(receiver.url, ORG)
    await admin.test(ORG)
    async with asyncio.timeout(60):
        await Deliveries(postgres, keyring, clock, options).deliver_due()
    assert "no answer within 0.5 s" in (await only(admin)).error


@pytest.mark.failure("webhooks", "frozen")
async def test_the_others_get_theirs_while_one_never_answers(
    postgres: Postgres,
    keyring: Keyring,
    clock: TurnedClock,
    admin: AlertsAdmin,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    """The frozen one has more due than are sent at once, and all of it was there first."""
    (tmp_path / "frozen").mkdir()
    frozen = await Receiver.started(tmp_path / "frozen")
    frozen.answer = None
    await admin.add_endpoint(frozen.url, "org_frozen")
    for _ in range(2 * AT_ONCE):
        await admin.test("org_frozen")
    made = await admin.add_endpoint(receiver.url, ORG)
    await admin.test(ORG)
    trusted = tmp_path / "both.pem"
    trusted.write_bytes(receiver.ca_path.read_bytes() + frozen.ca_path.read_bytes())
    options = DeliveryOptions(allowed=LOOPBACK, timeout_s=600.0, ca_path=str(trusted))
    sending = asyncio.ensure_future(Deliveries(postgres, keyring, clock, options).deliver_due())
    async with asyncio.timeout(60):
        while not receiver.got:
            await asyncio.sleep(0.01)
    receiver.got[0].verified(made.secret)
    sending.cancel()
    await asyncio.wait([sending])
    assert len(frozen.got) <= AT_ONCE_TO_ONE
    await frozen.stop()


@pytest.mark.failure("webhooks", "lying")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"x" * 100_000,
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 2xx\r\n\r\n",
    ],
)
async def test_what_is_no_answer_counts_as_none(
    admin: AlertsAdmin, deliveries: Deliveries, receiver: Receiver, answer: bytes
) -> None:
    receiver.answer = answer
    await admin.add_endpoint(receiver.url, ORG)
    await admin.test(ORG)
    await deliveries.deliver_due()
    attempt = await only(admin)
    assert (attempt.state, attempt.status) == ("waiting", 0) and attempt.error


async def test_a_receiver_that_is_gone_is_told_nothing_more(
    admin: AlertsAdmin, deliveries: Deliveries, receiver: Receiver
) -> None:
    receiver.answer = b"HTTP/1.1 410 Gone\r\n\r\n"
    await admin.add_endpoint(receiver.url, ORG)
    await admin.test(ORG)
    await deliveries.deliver_due()
    (endpoint,) = await admin.endpoints()
    assert endpoint.ended_us and "410" in endpoint.ended_why
    await admin.test(ORG)
    await deliveries.deliver_due()
    assert len(receiver.got) == 1


async def test_a_removed_endpoint_gets_nothing_and_keeps_its_log(
    admin: AlertsAdmin, deliveries: Deliveries, receiver: Receiver
) -> None:
    made = await admin.add_endpoint(receiver.url, ORG)
    alert_id = await admin.test(ORG)
    await admin.remove_endpoint(made.endpoint_id)
    await deliveries.deliver_due()
    assert receiver.got == []
    assert (await only(admin)).state == "failed"
    with pytest.raises(UnknownAlert):
        await admin.redeliver(alert_id)
    with pytest.raises(UnknownEndpoint):
        await admin.remove_endpoint(made.endpoint_id)


async def test_a_certificate_of_another_authority_is_not_trusted(
    postgres: Postgres, keyring: Keyring, clock: TurnedClock, admin: AlertsAdmin, receiver: Receiver
) -> None:
    await admin.add_endpoint(receiver.url, ORG)
    await admin.test(ORG)
    options = DeliveryOptions(allowed=LOOPBACK)
    await Deliveries(postgres, keyring, clock, options).deliver_due()
    assert receiver.got == [] and "CERTIFICATE_VERIFY_FAILED" in (await only(admin)).error


async def test_an_address_is_checked_when_it_is_added_and_again_when_it_is_used(
    postgres: Postgres, keyring: Keyring, clock: TurnedClock, admin: AlertsAdmin, receiver: Receiver
) -> None:
    """A name may lead elsewhere by the time it is used; here it is the settings that changed."""
    strict = AlertsAdmin(
        AdminParts(
            postgres=postgres,
            keyring=keyring,
            clock=clock,
            randomness=SystemRandomness(),
            allowed=Allowed(networks=(ip_network("10.0.0.0/8"),)),
        )
    )
    with pytest.raises(UnusableUrl, match="not a public address"):
        await strict.add_endpoint(receiver.url, ORG)
    await admin.add_endpoint(receiver.url, ORG)
    await admin.test(ORG)
    await Deliveries(postgres, keyring, clock, DeliveryOptions()).deliver_due()
    assert receiver.got == []
    assert "not a public address" in (await only(admin)).error


async def test_secrets_are_kept_wrapped(
    admin: AlertsAdmin, postgres: Postgres, receiver: Receiver
) -> None:
    made = await admin.add_endpoint(receiver.url, ORG)
    async with postgres.connection(5.0) as connection:
        kept = await connection.fetchval("SELECT secret FROM alerts.endpoints")
    assert base64.b64decode(made.secret.removeprefix("whsec_")) not in kept


async def test_two_schedulers_at_once_send_each_once(
    admin: AlertsAdmin, deliveries: Deliveries, receiver: Receiver
) -> None:
    await admin.add_endpoint(receiver.url, ORG)
    for _ in range(30):
        await admin.test(ORG)
    await asyncio.gather(deliveries.deliver_due(), deliveries.deliver_due())
    ids = [got.headers["webhook-id"] for got in receiver.got]
    assert len(ids) == len(set(ids)) == 30
