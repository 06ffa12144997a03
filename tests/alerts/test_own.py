"""An organization sees and changes its own alerts and webhooks, and none of another's."""

import asyncio

import pytest

from axon.alerts import (
    AdminParts,
    AlertsAdmin,
    AlertsUnavailable,
    Deliveries,
    DeliveryOptions,
    OwnAlerts,
    TooManyEndpoints,
    UnknownAlert,
    UnknownEndpoint,
    UnusableUrl,
    own,
)
from axon.alerts.admin import ENDPOINTS_OF_ORG_MAX
from axon.app.embedded import EmbeddedServer
from axon.base import SystemRandomness
from axon.sealing import Keyring
from axon.stores import Postgres
from tests.alerts.receiver import LOOPBACK, Receiver
from tests.journal.journals import TurnedClock

ORG, OTHER_ORG = "org_1", "org_2"
NOBODY = "https://127.0.0.1:9/axon"


@pytest.fixture
def alerts(postgres: Postgres, keyring: Keyring, clock: TurnedClock) -> OwnAlerts:
    return OwnAlerts(
        AdminParts(
            postgres=postgres,
            keyring=keyring,
            clock=clock,
            randomness=SystemRandomness(),
            allowed=LOOPBACK,
        )
    )


async def test_pages_hold_every_alert_once_newest_first(
    alerts: OwnAlerts, admin: AlertsAdmin, clock: TurnedClock
) -> None:
    raised = []
    for number in range(7):
        clock.ahead_us += number % 3  # some are raised in the same microsecond as others, nearly
        raised.append(await admin.test(ORG))
        await admin.test(OTHER_ORG)
    found: list[str] = []
    while True:
        page = await alerts.page(ORG, found[-1] if found else "", 3)
        found += [one.alert_id for one in page.alerts]
        assert {one.org_id for one in page.alerts} == {ORG} and len(page.alerts) <= 3
        if not page.has_more:
            break
    assert found == raised[::-1]
    (others, *_) = (await alerts.page(OTHER_ORG, "", 1)).alerts
    for unknown in (others.alert_id, "alert_0", "\0"):
        with pytest.raises(UnknownAlert):
            await alerts.page(ORG, unknown, 3)


async def test_an_alert_is_sent_again_to_the_organizations_own_webhooks(
    alerts: OwnAlerts,
    admin: AlertsAdmin,
    postgres: Postgres,
    keyring: Keyring,
    clock: TurnedClock,
    receiver: Receiver,
) -> None:
    """The operator's webhook gets the alert too, and neither is told of nor sent it again."""
    made = await alerts.add_endpoint(receiver.url, ORG)
    everyones = await admin.add_endpoint(receiver.url, "")
    await alerts.add_endpoint(receiver.url, OTHER_ORG)
    alert_id = await admin.test(ORG)
    options = DeliveryOptions(allowed=LOOPBACK, ca_path=str(receiver.ca_path))
    sending = Deliveries(postgres, keyring, clock, options)
    await sending.deliver_due()
    assert len(receiver.got) == 2
    (delivery,) = await alerts.deliveries(alert_id, ORG)
    assert (delivery.endpoint_id, delivery.state) == (made.endpoint_id, "delivered")
    for unknown in (alert_id, "\0"):
        with pytest.raises(UnknownAlert):
            await alerts.deliveries(unknown, OTHER_ORG)
        with pytest.raises(UnknownAlert):
            await alerts.redeliver(unknown, OTHER_ORG)
    assert await alerts.redeliver(alert_id, ORG) == 1
    await sending.deliver_due()
    assert len(receiver.got) == 3
    assert receiver.got[-1].verified(made.secret)["type"] == "alert.test"
    attempts = {one.endpoint_id: one.attempts for one in await admin.deliveries(alert_id)}
    assert attempts == {made.endpoint_id: 2, everyones.endpoint_id: 1}


async def test_a_webhook_is_removed_by_its_organization_alone(
    alerts: OwnAlerts, admin: AlertsAdmin
) -> None:
    made = await alerts.add_endpoint(NOBODY, ORG)
    everyones = await admin.add_endpoint(NOBODY, "")
    for endpoint_id, org_id in (
        (made.endpoint_id, OTHER_ORG),
        (everyones.endpoint_id, ORG),
        ("webhook_0", ORG),
        ("\0", ORG),
    ):
        with pytest.raises(UnknownEndpoint):
            await alerts.remove_endpoint(endpoint_id, org_id)
    assert [one.url for one in await alerts.endpoints(ORG)] == [NOBODY]
    assert await alerts.endpoints(OTHER_ORG) == []
    alert_id = await admin.test(ORG)
    await alerts.remove_endpoint(made.endpoint_id, ORG)
    assert await alerts.endpoints(ORG) == []
    with pytest.raises(UnknownEndpoint):
        await alerts.remove_endpoint(made.endpoint_id, ORG)
    assert await alerts.redeliver(alert_id, ORG) == 0
    assert [one.state for one in await alerts.deliveries(alert_id, ORG)] == ["failed"]


async def test_an_organization_has_so_many_webhooks_and_no_more(alerts: OwnAlerts) -> None:
    for _ in range(ENDPOINTS_OF_ORG_MAX):
        await alerts.add_endpoint(NOBODY, ORG)
    with pytest.raises(TooManyEndpoints):
        await alerts.add_endpoint(NOBODY, ORG)
    await alerts.add_endpoint(NOBODY, OTHER_ORG)


async def test_a_refused_url_does_not_say_what_its_name_leads_to(alerts: OwnAlerts) -> None:
    refusals = set()
    for url in ("https://10.1.2.3/axon", "https://no-such-name.invalid/axon"):
        with pytest.raises(UnusableUrl) as refused:
            await alerts.add_endpoint(url, ORG)
        refusals.add(str(refused.value))
    (same,) = refusals
    assert "10.1.2.3" not in same
    with pytest.raises(UnusableUrl, match="only https"):
        await alerts.add_endpoint("http://127.0.0.1/axon", ORG)


@pytest.mark.failure("postgresql", "down")
async def test_without_postgresql_it_says_so_and_goes_on_afterwards(
    alerts: OwnAlerts, postgres: Postgres, postgres_server: EmbeddedServer
) -> None:
    made = await alerts.add_endpoint(NOBODY, ORG)
    postgres_server.kill()
    for asked in (
        alerts.page(ORG, "", 20),
        alerts.endpoints(ORG),
        alerts.add_endpoint(NOBODY, ORG),
        alerts.remove_endpoint(made.endpoint_id, ORG),
        alerts.deliveries("alert_0", ORG),
        alerts.redeliver("alert_0", ORG),
    ):
        with pytest.raises(AlertsUnavailable):
            await asked
    postgres_server.restart()
    await asyncio.wait_for(postgres.wait_until_available(), 20)
    assert [one.endpoint_id for one in await alerts.endpoints(ORG)] == [made.endpoint_id]


async def test_only_so_many_ask_at_once(alerts: OwnAlerts) -> None:
    asking = [alerts.endpoints(ORG) for _ in range(own.ASKING_MAX + 1)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    refused = [one for one in answers if isinstance(one, AlertsUnavailable)]
    assert len(refused) == 1 and answers.count([]) == own.ASKING_MAX
