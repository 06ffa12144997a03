"""Who is told of budgets and spending: alerts, and the signed webhooks that carry them."""

from axon.alerts.admin import AdminParts, AlertsAdmin, CreatedEndpoint
from axon.alerts.alert import Alert
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
from axon.alerts.watching import AlertWatch

__all__ = [
    "AdminParts",
    "Alert",
    "AlertPage",
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
]
