"""The ways an alert or its delivery can be refused."""

from axon.base import AxonError


class AlertsError(AxonError):
    """Something is wrong with the alerts."""


class UnusableUrl(AlertsError):
    """Webhooks are not sent to this address."""


class UnknownEndpoint(AlertsError):
    """There is no such webhook."""


class UnknownAlert(AlertsError):
    """There is no such alert, or it was sent to nobody."""


class AlertsUnavailable(AlertsError):
    """Alerts and webhooks cannot be read or changed now; please retry."""


class SecretRefused(AlertsError):
    """A webhook's secret cannot be opened: the keyring is not the one it was made with."""


class TooManyEndpoints(AlertsError):
    """There are too many webhooks."""
