"""What one run of the bench found, as plain values; `--json` prints them."""

import statistics

import msgspec

from bench.durable_append import AppendReport


class AppendRow(msgspec.Struct, frozen=True, kw_only=True):
    """Acknowledged appends of 2 KiB by one way of making them durable."""

    kind: str
    clients: int
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float

    @classmethod
    def median_of(cls, reports: list[AppendReport]) -> "AppendRow":
        """Return the medians of several runs of the same measurement."""
        return cls(
            kind=reports[0].kind,
            clients=reports[0].clients,
            rate_per_s=statistics.median(report.rate_per_s for report in reports),
            p50_ms=statistics.median(report.p50_ms for report in reports),
            p99_ms=statistics.median(report.p99_ms for report in reports),
            cpu_us=statistics.median(report.cpu_us for report in reports),
        )


class RateRow(msgspec.Struct, frozen=True, kw_only=True):
    """Requests a second with the server on one core; `cpu_us` is the server's, a request.

    `cpu_ratio_to_nginx` compares what a request costs. It is the same as the ratio of the rates
    when both servers fill their core, and the steadier figure when the machine is not quiet.
    """

    case: str
    gateway: str
    rate_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    ratio_to_nginx: float
    cpu_ratio_to_nginx: float


class LatencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """Latency at a fixed rate, and what the gateway added to the upstream's own."""

    case: str
    gateway: str
    p50_ms: float
    p99_ms: float
    added_p50_ms: float
    added_p99_ms: float


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the bench."""

    appends: list[AppendRow]
    rates: list[RateRow]
    latencies: list[LatencyRow]
    load_before: float
    separate_cores: bool
