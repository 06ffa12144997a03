"""Grafana's dashboards, in deploy/observability/grafana, made from the panels named here."""

from dataclasses import dataclass

import msgspec

_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 2
_WINDOW = "$__rate_interval"


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


def _quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        (
            f"histogram_quantile({quantile}, sum by ({labels}) (rate({metric}_bucket[{_WINDOW}])))",
            f"p{int(quantile * 100)}{legend}",
        )
        for quantile in (0.5, 0.99)
    )


def _rate(metric: str, by: str, chosen: str = "") -> tuple[str, str]:
    query = f"sum by ({by}) (rate({metric}{chosen}[{_WINDOW}]))"
    return query, " ".join(f"{{{{{one.strip()}}}}}" for one in by.split(","))


SERVICE = Dashboard(
    "service",
    "Axon: service",
    (
        Panel("Requests", "reqps", (_rate("axon_http_requests_total", "status"),)),
        Panel("Turns by how they ended", "ops", (_rate("axon_turns_total", "status"),)),
        Panel("Time of requests", "s", _quantiles("http_server_request_duration_seconds", "route")),
        Panel("Time to first token", "s", _quantiles("gen_ai_server_time_to_first_token_seconds")),
        Panel(
            "Time for each token behind it",
            "s",
            _quantiles("gen_ai_server_time_per_output_token_seconds"),
        ),
        Panel("Axon's own share of a turn", "s", _quantiles("axon_overhead_seconds")),
        Panel("Turns running", "short", (("sum(axon_turns_running)", "turns"),)),
        Panel("Connections", "short", (("sum(axon_http_connections)", "connections"),)),
        Panel(
            "Dependencies done without",
            "short",
            (("max by (dependency) (axon_degraded_mode)", "{{dependency}}"),),
        ),
        Panel(
            "Telemetry that nobody got", "ops", (_rate("axon_telemetry_dropped_total", "signal"),)
        ),
    ),
)
DURABILITY = Dashboard(
    "durability",
    "Axon: durability",
    (
        Panel("One flush to the disk", "s", _quantiles("axon_journal_fsync_seconds")),
        Panel(
            "Entries made durable",
            "ops",
            ((f"sum(rate(axon_journal_appends_total[{_WINDOW}]))", "entries"),),
        ),
        Panel("Entries in one flush", "short", _quantiles("axon_journal_batch_entries")),
        Panel("Journal failed", "short", (("max(axon_journal_failed)", "failed"),)),
        Panel(
            "Entries PostgreSQL lacks", "short", (("sum(axon_projection_lag_records)", "entries"),)
        ),
        Panel(
            "How long it has lacked them", "s", (("max(axon_projection_lag_seconds)", "behind"),)
        ),
        Panel(
            "Parked records",
            "short",
            (("max by (state) (axon_projection_parked_records)", "{{state}}"),),
        ),
        Panel("Damaged segments", "short", (("sum(axon_journal_damaged_segments)", "segments"),)),
    ),
)
WORKERS = Dashboard(
    "workers",
    "Axon: workers and engines",
    (
        Panel("Waiting for an engine", "s", _quantiles("axon_queue_wait_seconds")),
        Panel(
            "Jobs that wait", "short", (("sum by (queue) (axon_queue_jobs_waiting)", "{{queue}}"),)
        ),
        Panel(
            "Answers of upstreams",
            "ops",
            (_rate("axon_upstream_answers_total", "upstream, outcome"),),
        ),
        Panel(
            "Free slots",
            "short",
            (("sum by (upstream) (axon_upstream_free_slots)", "{{upstream}}"),),
        ),
        Panel(
            "Time of operations",
            "s",
            _quantiles("gen_ai_client_operation_duration_seconds", "gen_ai_request_model"),
        ),
        Panel(
            "vLLM: requests",
            "short",
            (
                ("sum(vllm:num_requests_running)", "running"),
                ("sum(vllm:num_requests_waiting)", "waiting"),
            ),
        ),
        Panel("vLLM: KV cache", "percentunit", (("max(vllm:kv_cache_usage_perc)", "used"),)),
        Panel(
            "vLLM: prefixes found in the cache",
            "percentunit",
            (
                (
                    (
                        f"sum(rate(vllm:prefix_cache_hits_total[{_WINDOW}])) / "
                        f"sum(rate(vllm:prefix_cache_queries_total[{_WINDOW}]))"
                    ),
                    "hits",
                ),
            ),
        ),
        Panel("GPU: busy", "percent", (("avg by (gpu) (DCGM_FI_DEV_GPU_UTIL)", "{{gpu}}"),)),
        Panel(
            "GPU: memory used", "decmbytes", (("sum by (gpu) (DCGM_FI_DEV_FB_USED)", "{{gpu}}"),)
        ),
        Panel("GPU: temperature", "celsius", (("max by (gpu) (DCGM_FI_DEV_GPU_TEMP)", "{{gpu}}"),)),
        Panel("GPU: power", "watt", (("sum by (gpu) (DCGM_FI_DEV_POWER_USAGE)", "{{gpu}}"),)),
    ),
)
MONEY = Dashboard(
    "money",
    "Axon: money",
    (
        Panel(
            "Charged each hour",
            "short",
            (("sum by (currency) (increase(axon_charged_total[1h]))", "{{currency}}"),),
        ),
        Panel(
            "Tokens by model",
            "short",
            (_rate("gen_ai_client_token_usage_sum", "gen_ai_request_model, gen_ai_token_type"),),
        ),
        Panel("Tokens by tier", "short", (_rate("gen_ai_client_token_usage_sum", "axon_tier"),)),
        Panel("Turns refused by a limit", "ops", (_rate("axon_limits_refused_total", "measure"),)),
        Panel("Turns beyond a limit", "ops", (_rate("axon_limits_exceeded_total", "kind"),)),
        Panel(
            "Turns without a price",
            "ops",
            ((f"sum(rate(axon_metering_turns_without_price_total[{_WINDOW}]))", "turns"),),
        ),
        Panel(
            "Usage events that wait",
            "short",
            (("sum(axon_usage_stream_waiting_events)", "events"),),
        ),
        Panel("Alerts raised", "ops", (_rate("axon_alerts_raised_total", "kind"),)),
    ),
)
EXPERIMENTS = Dashboard(
    "experiments",
    "Axon: flags and experiments",
    (
        Panel(
            "Answers by variant", "ops", (_rate("axon_flag_evaluations_total", "flag, variant"),)
        ),
        Panel("Newest change", "short", (("max(axon_flags_number)", "number"),)),
        Panel("Changes", "ops", (_rate("axon_flags_changes_total", "origin"),)),
        Panel("Flags that are off", "short", (("max(axon_flags_unusable)", "unusable"),)),
        Panel("Looking for passages", "s", _quantiles("axon_retrieval_seconds")),
        Panel("What came of it", "ops", (_rate("axon_retrieval_seconds_count", "outcome"),)),
    ),
)
PRIVACY = Dashboard(
    "privacy",
    "Axon: privacy",
    (
        Panel("Ages of the keys believed", "s", (("max(axon_accounts_age_seconds)", "oldest"),)),
        Panel(
            "Requests refused",
            "reqps",
            (_rate("axon_http_requests_total", "route", '{status=~"401|403|404"}'),),
        ),
        Panel(
            "Segments read again",
            "Bps",
            ((f"sum(rate(axon_journal_scrubbed_bytes_total[{_WINDOW}]))", "bytes"),),
        ),
        Panel(
            "Telemetry that nobody got", "ops", (_rate("axon_telemetry_dropped_total", "signal"),)
        ),
    ),
)
DASHBOARDS = (SERVICE, DURABILITY, WORKERS, MONEY, EXPERIMENTS, PRIVACY)


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
