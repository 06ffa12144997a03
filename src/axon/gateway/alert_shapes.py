"""Alerts and webhooks as an organization reads them; times are seconds since 1970."""

from typing import Literal

import msgspec

from axon.alerts import Attempt, CreatedEndpoint, Endpoint, Raised
from axon.base import MICROS_PER_SECOND


class AlertShown(msgspec.Struct):
    """An alert that was raised."""

    id: str
    object: Literal["alert"]
    type: str
    """As `limit.used.80`."""
    raised_at: int
    period_begins_at: int
    data: msgspec.Raw
    """What a webhook is told."""


class AlertsShown(msgspec.Struct):
    """A page of alerts, newest first."""

    object: Literal["list"]
    data: list[AlertShown]
    first_id: str | None
    last_id: str | None
    has_more: bool


class WebhookShown(msgspec.Struct):
    """Where alerts are sent."""

    id: str
    object: Literal["webhook"]
    url: str
    created_at: int


class WebhooksShown(msgspec.Struct):
    """The webhooks that are used."""

    object: Literal["list"]
    data: list[WebhookShown]


class WebhookMade(msgspec.Struct):
    """A new webhook, with the secret that is shown this once."""

    id: str
    object: Literal["webhook"]
    url: str
    secret: str


class DeliveryShown(msgspec.Struct):
    """How an alert went to one webhook."""

    object: Literal["alert.delivery"]
    webhook_id: str
    state: str
    """waiting, delivered or failed."""
    attempts: int
    next_attempt_at: int | None
    last_attempt_at: int | None
    took_ms: int | None
    """Of the last attempt, as the two below."""
    status: int | None
    """Null when there was no answer."""
    error: str | None


class DeliveriesShown(msgspec.Struct):
    """The deliveries of an alert to the organization's webhooks."""

    object: Literal["list"]
    data: list[DeliveryShown]


class Redelivery(msgspec.Struct):
    """To how many webhooks an alert is sent again."""

    id: str
    object: Literal["alert.redelivery"]
    webhooks: int


def alert_shown(raised: Raised) -> AlertShown:
    """Return an alert as it is shown."""
    return AlertShown(
        id=raised.alert_id,
        object="alert",
        type=raised.kind,
        raised_at=raised.raised_us // MICROS_PER_SECOND,
        period_begins_at=raised.period_us // MICROS_PER_SECOND,
        data=raised.data,
    )


def webhook_shown(endpoint: Endpoint) -> WebhookShown:
    """Return a webhook as it is shown, without its secret."""
    return WebhookShown(
        id=endpoint.endpoint_id,
        object="webhook",
        url=endpoint.url,
        created_at=endpoint.created_us // MICROS_PER_SECOND,
    )


def webhook_made(made: CreatedEndpoint) -> WebhookMade:
    """Return a new webhook, with its secret."""
    return WebhookMade(id=made.endpoint_id, object="webhook", url=made.url, secret=made.secret)


def delivery_shown(attempt: Attempt) -> DeliveryShown:
    """Return a delivery with its last attempt; what there was none of is null."""
    waits, tried = attempt.state == "waiting", attempt.at_us > 0
    return DeliveryShown(
        object="alert.delivery",
        webhook_id=attempt.endpoint_id,
        state=attempt.state,
        attempts=attempt.attempts,
        next_attempt_at=attempt.next_us // MICROS_PER_SECOND if waits else None,
        last_attempt_at=attempt.at_us // MICROS_PER_SECOND if tried else None,
        took_ms=attempt.took_ms if tried else None,
        status=attempt.status or None,
        error=attempt.error or None,
    )
