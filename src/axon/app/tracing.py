"""Builds the tracing of the settings, for the projector."""

from urllib.parse import urlsplit

from axon import __version__
from axon.app.folders import DataFolder
from axon.app.models import model_table
from axon.app.settings import Settings
from axon.base import Clock
from axon.tracing import Collector, Sampling, SpanOptions, Tracing, TurnFollower


def tracing(settings: Settings, folder: DataFolder, clock: Clock) -> Tracing | None:
    """Return what sends this node's turns to the collector of the settings; None without one."""
    wanted = settings.traces
    if not wanted.endpoint:
        return None
    options = SpanOptions(addresses=_addresses(settings), openinference=wanted.openinference)
    return Tracing(
        TurnFollower(folder.journals, Sampling(ratio=wanted.ratio, slow_s=wanted.slow_s), options),
        Collector(wanted.endpoint, wanted.header_pairs(), wanted.timeout_s),
        folder.traces_places,
        clock,
        {"service.name": "axon", "service.version": __version__},
    )


def _addresses(settings: Settings) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for model in model_table(settings).served():
        for upstream in model.upstreams:
            parts = urlsplit(upstream.base_url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            found[upstream.name] = parts.hostname or "", port
    return found
