"""Builds what raises and delivers alerts from the settings: for the scheduler and the commands."""

from ipaddress import ip_network

from axon.alerts import (
    GUARDRAIL,
    STOPPED,
    Alert,
    AlertWatch,
    Allowed,
    Deliveries,
    DeliveryOptions,
    instant,
)
from axon.app.settings import AlertsSettings
from axon.base import MICROS_PER_SECOND, NANOS_PER_UNIT, Clock
from axon.experiments import News, news
from axon.sealing import Keyring
from axon.stores import Postgres

_NEWS_US = 7 * 86_400 * MICROS_PER_SECOND
"""News of experiments as old as this are still raised when the scheduler was away; far shorter
than alerts are kept, so that none is raised twice."""


def allowed_by(settings: AlertsSettings) -> Allowed:
    """Return where webhooks may be sent."""
    networks = tuple(ip_network(name) for name in settings.networks())
    return Allowed(http=settings.allow_http, networks=networks)


def alert_watch(settings: AlertsSettings, postgres: Postgres, clock: Clock) -> AlertWatch:
    """Return what raises alerts."""

    async def of_experiments(now_us: int) -> list[Alert]:
        return [_alert_of(one) for one in await news(postgres, now_us - _NEWS_US)]

    floor_nano = settings.anomaly_floor * NANOS_PER_UNIT
    return AlertWatch(postgres, clock, floor_nano, [of_experiments])


def _alert_of(one: News) -> Alert:
    """Return what is told of an experiment: once, however often it is looked at."""
    fired = one.what == "guardrail"
    about = {"flag": one.flag, "metric": one.metric} if fired else {}
    return Alert(
        kind=GUARDRAIL if fired else STOPPED,
        org_id=one.org_id,
        subject=one.name,
        period_us=one.at_us,
        data={"experiment": one.name, "why": one.why, "at": instant(one.at_us), **about},
    )


def deliveries(
    settings: AlertsSettings, postgres: Postgres, keyring: Keyring, clock: Clock
) -> Deliveries:
    """Return what delivers them."""
    options = DeliveryOptions(
        allowed=allowed_by(settings), timeout_s=settings.timeout_s, ca_path=settings.ca_path
    )
    return Deliveries(postgres, keyring, clock, options)
