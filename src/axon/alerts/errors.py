"""The ways an alert or its delivery can be refused."""

from axon.base import AxonError


class AlertsError(AxonError):
    """Something is wrong with the alerts."""


class UnusableUrl(AlertsError):
    """Webhooks are not sent to this address."""


class UnknownEndpoint(AlertsError):
    """There is no such webhook; see `axon webhooks list`."""


class UnknownAlert(AlertsError):
    """There is no such alert, or it was sent to nobody; see `axon alerts list`."""


class SecretRefused(AlertsError):
    """A webhook's secret cannot be opened: the keyring is not the one it was made with."""


class TooManyEndpoints(AlertsError):
    """There are too many webhooks."""
