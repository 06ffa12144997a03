"""Who is told of budgets, spending and experiments: alerts, and webhooks that carry them."""

from axon.alerts.admin import AdminParts, AlertsAdmin, CreatedEndpoint
from axon.alerts.alert import GUARDRAIL, STOPPED, Alert, instant
from axon.alerts.delivering import Deliveries, DeliveryOptions
from axon.alerts.errors import (
    AlertsError,
    AlertsUnavailable,
    SecretRefused,
    TooManyEndpoints,
    UnknownAlert,
    UnknownEndpoint,
    UnusableUrl,
)
from axon.alerts.guard import Allowed
from axon.alerts.own import AlertPage, OwnAlerts
from axon.alerts.store import Attempt, Endpoint, Raised
from axon.alerts.watching import AlertSource, AlertWatch

__all__ = [
    "GUARDRAIL",
    "STOPPED",
    "AdminParts",
    "Alert",
    "AlertPage",
    "AlertSource",
    "AlertWatch",
    "AlertsAdmin",
    "AlertsError",
    "AlertsUnavailable",
    "Allowed",
    "Attempt",
    "CreatedEndpoint",
    "Deliveries",
    "DeliveryOptions",
    "Endpoint",
    "OwnAlerts",
    "Raised",
    "SecretRefused",
    "TooManyEndpoints",
    "UnknownAlert",
    "UnknownEndpoint",
    "UnusableUrl",
    "instant",
]
