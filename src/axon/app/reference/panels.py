"""What a dashboard is made of, and how Grafana reads it."""

from dataclasses import dataclass

import msgspec

_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 2
WINDOW = "$__rate_interval"
"""Grafana puts in its place what fits the scrapes and the zoom."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One question to Prometheus, by a graph; several lines of one unit."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    """PromQL and the legend of its lines."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What one person wants to see at once."""

    name: str
    title: str
    panels: tuple[Panel, ...]


def quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    """Return the median, the 95th and the 99th percentile of a histogram, by a label if asked."""
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        (
            f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket[{WINDOW}])))",
            f"p{int(quantile * 100)}{legend}",
        )
        for quantile in (0.5, 0.95, 0.99)
    )


def rate(metric: str, by: str, chosen: str = "") -> tuple[str, str]:
    """Return how much of a counter there is each second, by labels, of the series chosen."""
    query = f"sum by ({by}) (rate({metric}{chosen}[{WINDOW}]))"
    return query, " ".join(f"{{{{{one.strip()}}}}}" for one in by.split(","))


def dashboard_json(dashboard: Dashboard) -> bytes:
    """Return the dashboard as Grafana imports it."""
    panels = [_panel(number, panel) for number, panel in enumerate(dashboard.panels)]
    shown: dict[str, object] = {
        "title": dashboard.title,
        "uid": f"axon-{dashboard.name}",
        "schemaVersion": 39,
        "tags": ["axon"],
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                }
            ]
        },
        "panels": panels,
    }
    return msgspec.json.format(msgspec.json.encode(shown), indent=2) + b"\n"


def _panel(number: int, panel: Panel) -> dict[str, object]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": source,
                "expr": query,
                "legendFormat": legend,
            }
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }
