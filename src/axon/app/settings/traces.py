"""The settings of traces."""

from typing import Annotated

from msgspec import Meta, Struct

_URL = {"form": "an address like http://host:4318"}


class TracesSettings(Struct, frozen=True, kw_only=True):
    """Traces of turns, for an OpenTelemetry collector; see docs/observability.md."""

    endpoint: Annotated[
        str,
        Meta(
            pattern="^(https?://.*)?$",
            extra=_URL,
            description="Where it takes OTLP over HTTP; `/v1/traces` is added. Empty: no traces.",
        ),
    ] = ""
    headers: Annotated[
        str,
        Meta(
            pattern=r"^([^=,\s]+=[^,\r\n]*(,[^=,\s]+=[^,\r\n]*)*)?$",
            extra={"form": "pairs like name=value, by commas"},
            description="Sent with every batch, as `authorization=Bearer x`.",
        ),
    ] = ""
    ratio: Annotated[
        float,
        Meta(ge=0, le=1, description="The share of turns that leave a trace whatever happens."),
    ] = 0.1
    slow_s: Annotated[
        float,
        Meta(
            gt=0, description="A turn that takes so long always leaves one; so does a failed one."
        ),
    ] = 10.0
    timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="How long the collector may be silent.")
    ] = 5.0
    openinference: Annotated[
        bool, Meta(description="Name the kinds of spans as OpenInference does, too.")
    ] = False

    def header_pairs(self) -> dict[str, str]:
        """Return the headers by name."""
        pairs = [pair.split("=", 1) for pair in self.headers.split(",") if pair]
        return {name.strip(): value for name, value in pairs}
