"""Grafana's dashboards, in deploy/observability/grafana, made from the panels named here."""

from axon.app.reference.panels import WINDOW, Dashboard, Panel, quantiles, rate

_FAILED = tuple(
    (
        (
            f'sum(rate(axon_http_requests_total{{status=~"{wrong}.."}}[{WINDOW}]))'
            f" / sum(rate(axon_http_requests_total[{WINDOW}]))"
        ),
        f"{wrong}xx",
    )
    for wrong in (4, 5)
)
_HITS = f"sum(rate(axon_embedding_cache_hits_total[{WINDOW}]))"
_MISSES = f"sum(rate(axon_embedding_cache_misses_total[{WINDOW}]))"

SERVICE = Dashboard(
    "service",
    "Axon: service",
    (
        Panel("Requests", "reqps", (rate("axon_http_requests_total", "status"),)),
        Panel("Turns by how they ended", "ops", (rate("axon_turns_total", "status"),)),
        Panel("Time of requests", "s", quantiles("http_server_request_duration_seconds", "route")),
        Panel("Time to first token", "s", quantiles("gen_ai_server_time_to_first_token_seconds")),
        Panel(
            "Time for each token behind it",
            "s",
            quantiles("gen_ai_server_time_per_output_token_seconds"),
        ),
        Panel("Axon's own share of a turn", "s", quantiles("axon_overhead_seconds")),
        Panel("Turns running", "short", (("sum(axon_turns_running)", "turns"),)),
        Panel("Share of requests that failed", "percentunit", _FAILED),
        Panel(
            "Where histories came from", "ops", (rate("axon_conversation_windows_total", "from"),)
        ),
        Panel(
            "Embeddings found in memory",
            "percentunit",
            ((f"{_HITS} / ({_HITS} + {_MISSES})", "hits"),),
        ),
        Panel("Processor time", "percentunit", (rate("process_cpu_seconds_total", "instance"),)),
        Panel(
            "Memory",
            "bytes",
            (("sum by (instance) (process_resident_memory_bytes)", "{{instance}}"),),
        ),
        Panel(
            "Starts in the last hour",
            "short",
            (("sum by (instance) (changes(process_start_time_seconds[1h]))", "{{instance}}"),),
        ),
        Panel("Connections", "short", (("sum(axon_http_connections)", "connections"),)),
        Panel(
            "Dependencies done without",
            "short",
            (("max by (dependency) (axon_degraded_mode)", "{{dependency}}"),),
        ),
        Panel(
            "Telemetry that nobody got", "ops", (rate("axon_telemetry_dropped_total", "signal"),)
        ),
    ),
)
DURABILITY = Dashboard(
    "durability",
    "Axon: durability",
    (
        Panel("One flush to the disk", "s", quantiles("axon_journal_fsync_seconds")),
        Panel(
            "Entries made durable",
            "ops",
            ((f"sum(rate(axon_journal_appends_total[{WINDOW}]))", "entries"),),
        ),
        Panel("Entries in one flush", "short", quantiles("axon_journal_batch_entries")),
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
        Panel("Waiting for an engine", "s", quantiles("axon_queue_wait_seconds")),
        Panel(
            "Jobs that wait", "short", (("sum by (queue) (axon_queue_jobs_waiting)", "{{queue}}"),)
        ),
        Panel(
            "Answers of upstreams",
            "ops",
            (rate("axon_upstream_answers_total", "upstream, outcome"),),
        ),
        Panel(
            "Free slots",
            "short",
            (("sum by (upstream) (axon_upstream_free_slots)", "{{upstream}}"),),
        ),
        Panel(
            "Time of operations",
            "s",
            quantiles("gen_ai_client_operation_duration_seconds", "gen_ai_request_model"),
        ),
        Panel(
            "Engines: requests",
            "short",
            (
                ("max by (upstream) (axon_engine_requests_running)", "{{upstream}} running"),
                ("max by (upstream) (axon_engine_requests_waiting)", "{{upstream}} waiting"),
            ),
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
                        f"sum(rate(vllm:prefix_cache_hits_total[{WINDOW}])) / "
                        f"sum(rate(vllm:prefix_cache_queries_total[{WINDOW}]))"
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
            (rate("gen_ai_client_token_usage_sum", "gen_ai_request_model, gen_ai_token_type"),),
        ),
        Panel("Tokens by tier", "short", (rate("gen_ai_client_token_usage_sum", "axon_tier"),)),
        Panel(
            "Active users",
            "short",
            (("max by (window) (axon_business_active_users)", "in a {{window}}"),),
        ),
        Panel(
            "Signups",
            "short",
            (("max by (kind, window) (axon_business_signups)", "{{kind}} in a {{window}}"),),
        ),
        Panel("Accounts", "short", (("max by (kind) (axon_business_accounts)", "{{kind}}"),)),
        Panel(
            "Revenue",
            "short",
            (
                (
                    "max by (currency, window) (axon_business_revenue_nano) / 1e9",
                    "{{currency}} in a {{window}}",
                ),
            ),
        ),
        Panel("Turns refused by a limit", "ops", (rate("axon_limits_refused_total", "measure"),)),
        Panel("Turns beyond a limit", "ops", (rate("axon_limits_exceeded_total", "kind"),)),
        Panel(
            "Turns without a price",
            "ops",
            ((f"sum(rate(axon_metering_turns_without_price_total[{WINDOW}]))", "turns"),),
        ),
        Panel(
            "Usage events that wait",
            "short",
            (("sum(axon_usage_stream_waiting_events)", "events"),),
        ),
        Panel("Alerts raised", "ops", (rate("axon_alerts_raised_total", "kind"),)),
    ),
)
EXPERIMENTS = Dashboard(
    "experiments",
    "Axon: flags and experiments",
    (
        Panel("Answers by variant", "ops", (rate("axon_flag_evaluations_total", "flag, variant"),)),
        Panel("Feedback", "ops", (rate("axon_feedback_total", "rating"),)),
        Panel(
            "Guardrails that wanted a flag off",
            "short",
            (
                ("sum(increase(axon_experiment_guardrails_total[1h]))", "wanted"),
                ("sum(increase(axon_experiment_kills_total[1h]))", "switched off"),
            ),
        ),
        Panel("Units with two variants", "short", (("max(axon_experiment_units_moved)", "units"),)),
        Panel("Newest change", "short", (("max(axon_flags_number)", "number"),)),
        Panel("Changes", "ops", (rate("axon_flags_changes_total", "origin"),)),
        Panel("Flags that are off", "short", (("max(axon_flags_unusable)", "unusable"),)),
        Panel("Looking for passages", "s", quantiles("axon_retrieval_seconds")),
        Panel("What came of it", "ops", (rate("axon_retrieval_seconds_count", "outcome"),)),
    ),
)
PRIVACY = Dashboard(
    "privacy",
    "Axon: privacy",
    (
        Panel(
            "Reads and other acts of auditors",
            "ops",
            (rate("axon_audit_accesses_total", "action"),),
        ),
        Panel("Values hidden", "ops", (rate("axon_redaction_hits_total", "kind"),)),
        Panel(
            "What safety decided",
            "ops",
            (rate("axon_safety_verdicts_total", "stage, action"),),
        ),
        Panel(
            "People forgotten",
            "short",
            (("sum(increase(axon_subjects_erased_total[1d]))", "people"),),
        ),
        Panel("Legal holds", "short", (("max by (kind) (axon_business_legal_holds)", "{{kind}}"),)),
        Panel(
            "Journals whose chain is broken",
            "short",
            (("max(axon_audit_broken_chains)", "journals"),),
        ),
        Panel("Ages of the keys believed", "s", (("max(axon_accounts_age_seconds)", "oldest"),)),
        Panel(
            "Requests refused",
            "reqps",
            (rate("axon_http_requests_total", "route", '{status=~"401|403|404"}'),),
        ),
        Panel(
            "Segments read again",
            "Bps",
            ((f"sum(rate(axon_journal_scrubbed_bytes_total[{WINDOW}]))", "bytes"),),
        ),
        Panel(
            "Telemetry that nobody got", "ops", (rate("axon_telemetry_dropped_total", "signal"),)
        ),
    ),
)
DASHBOARDS = (SERVICE, DURABILITY, WORKERS, MONEY, EXPERIMENTS, PRIVACY)
