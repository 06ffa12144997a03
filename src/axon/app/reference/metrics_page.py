"""docs/metrics.md, from the metrics every room makes when it is imported."""

from axon.app.roles import projector, scheduler, serving
from axon.telemetry import described_metrics

_HEAD = """# Metrics

Made by `python -m axon.app.reference`; do not edit.

`GET /metrics` answers in Prometheus' text format, without a key. A histogram has the series
`_bucket`, `_sum` and `_count`. No label ever holds the id of a user, a key or a conversation.
Beside these there are the process's own, `process_cpu_seconds_total` and its like.
"""

ROLES = (serving, projector, scheduler)
"""Imported so that every room's metrics exist."""


def metrics_page() -> str:
    """Return the whole page as Markdown."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in described_metrics():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.description} |")
    return "\n".join([_HEAD, *rows]) + "\n"
