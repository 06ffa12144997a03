"""`/v1/alerts` and `/v1/webhooks`: what an organization was told, and where it is told."""

from axon.gateway.alert_shapes import (
    AlertsShown,
    DeliveriesShown,
    Redelivery,
    WebhooksShown,
    alert_shown,
    delivery_shown,
    webhook_made,
    webhook_shown,
)
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import required
from axon.gateway.pages import page_limit


async def list_alerts(door: Door, call: Call) -> None:
    """Answer with the organization's alerts of the last 90 days, the newest first."""
    query = call.query()
    after = query.get("after", "")
    page = await door.alerts.page(call.caller.org_id, after, page_limit(query))
    ids = [one.alert_id for one in page.alerts]
    await call.reply_value(
        AlertsShown(
            object="list",
            data=[alert_shown(one) for one in page.alerts],
            first_id=ids[0] if ids else None,
            last_id=ids[-1] if ids else None,
            has_more=page.has_more,
        )
    )


async def list_deliveries(door: Door, call: Call, alert_id: str) -> None:
    """Answer with how an alert went to the organization's webhooks."""
    found = await door.alerts.deliveries(alert_id, call.caller.org_id)
    data = [delivery_shown(one) for one in found]
    await call.reply_value(DeliveriesShown(object="list", data=data))


async def redeliver(door: Door, call: Call, alert_id: str) -> None:
    """Send an alert again to the organization's webhooks, under the id it has."""
    count = await door.alerts.redeliver(alert_id, call.caller.org_id)
    await call.reply_value(Redelivery(id=alert_id, object="alert.redelivery", webhooks=count))


async def list_webhooks(door: Door, call: Call) -> None:
    """Answer with the organization's webhooks; wants the permission `alerts`."""
    found = await door.alerts.endpoints(call.caller.org_id)
    await call.reply_value(WebhooksShown(object="list", data=[webhook_shown(one) for one in found]))


async def add_webhook(door: Door, call: Call) -> None:
    """Send the organization's alerts to a URL; answers with the secret, which is shown this once.

    Wants the permission `alerts`. The URL is https and its host has no address that is not public.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    url = required(fields, "url", str)
    made = await door.alerts.add_endpoint(url, call.caller.org_id, call.actor)
    await call.reply_value(webhook_made(made))


async def remove_webhook(door: Door, call: Call, webhook_id: str) -> None:
    """Send nothing to a webhook any more; wants the permission `alerts`."""
    await door.alerts.remove_endpoint(webhook_id, call.caller.org_id, call.actor)
    await call.reply_value({"id": webhook_id, "object": "webhook.deleted", "deleted": True})
