"""Builds what raises and delivers alerts from the settings: for the scheduler and the commands."""

from ipaddress import ip_network

from axon.alerts import AlertWatch, Allowed, Deliveries, DeliveryOptions
from axon.app.settings import AlertsSettings
from axon.base import NANOS_PER_UNIT, Clock
from axon.sealing import Keyring
from axon.stores import Postgres


def allowed_by(settings: AlertsSettings) -> Allowed:
    """Return where webhooks may be sent."""
    networks = tuple(ip_network(name) for name in settings.networks())
    return Allowed(http=settings.allow_http, networks=networks)


def alert_watch(settings: AlertsSettings, postgres: Postgres, clock: Clock) -> AlertWatch:
    """Return what raises alerts."""
    return AlertWatch(postgres, clock, settings.anomaly_floor * NANOS_PER_UNIT)


def deliveries(
    settings: AlertsSettings, postgres: Postgres, keyring: Keyring, clock: Clock
) -> Deliveries:
    """Return what delivers them."""
    options = DeliveryOptions(
        allowed=allowed_by(settings), timeout_s=settings.timeout_s, ca_path=settings.ca_path
    )
    return Deliveries(postgres, keyring, clock, options)
