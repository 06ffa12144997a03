"""The settings of alerts: when spending is an anomaly, and where webhooks may be sent."""

from ipaddress import ip_network
from typing import Annotated

from msgspec import Meta, Struct


class AlertsSettings(Struct, frozen=True, kw_only=True):
    """Alerts on budgets and spending, and the webhooks that carry them."""

    look_every_s: Annotated[
        float, Meta(ge=1, le=86_400, description="How often what was used is looked at.")
    ] = 60.0
    anomaly_floor: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="A day's spending below so many units of its currency is no anomaly.",
        ),
    ] = 10
    timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="Longest attempt to deliver a webhook.")
    ] = 10.0
    allow_http: Annotated[
        bool, Meta(description="Allow webhooks without TLS, as for a test on this machine.")
    ] = False
    allowed_networks: Annotated[
        str,
        Meta(
            description="Networks that are not public and may be sent to, by commas, like "
            "`10.1.0.0/16`. Everything else that is not public is refused."
        ),
    ] = ""
    ca_path: Annotated[
        str, Meta(description="PEM file of the authorities webhooks are trusted by; empty: usual.")
    ] = ""

    def networks(self) -> list[str]:
        """Return the allowed networks; raises ValueError for what is none."""
        names = [name.strip() for name in self.allowed_networks.split(",") if name.strip()]
        return [str(ip_network(name)) for name in names]
