"""What makes each alert of rules.yml fire: series as promtool writes them, and when it fires."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """One alert and its cause."""

    alert: str
    series: tuple[tuple[str, str], ...]
    """Series and values, one a minute."""
    at: str = "9m"


CONDITIONS = (
    Condition("AxonDown", (('up{job="axon",instance="n1"}', "0x10"),), "9m"),
    Condition("AxonJournalFailed", (('axon_journal_failed{instance="n1"}', "1x10"),), "9m"),
    Condition(
        "AxonJournalSlow",
        (
            ('axon_journal_fsync_seconds_bucket{instance="n1",le="0.05"}', "0+0x20"),
            ('axon_journal_fsync_seconds_bucket{instance="n1",le="0.5"}', "0+60x20"),
            ('axon_journal_fsync_seconds_bucket{instance="n1",le="+Inf"}', "0+60x20"),
        ),
        "15m",
    ),
    Condition(
        "AxonJournalDamaged", (('axon_journal_damaged_segments{instance="n1"}', "1x10"),), "9m"
    ),
    Condition(
        "AxonProjectionBehind", (('axon_projection_lag_seconds{instance="n1"}', "300x10"),), "9m"
    ),
    Condition(
        "AxonRecordsParked", (('axon_projection_parked_records{state="waiting"}', "2x20"),), "15m"
    ),
    Condition("AxonDependencyAway", (('axon_degraded_mode{dependency="valkey"}', "1x10"),), "9m"),
    Condition(
        "AxonTurnsFail",
        (
            ('axon_turns_total{status="failed",surface="chat"}', "0+60x20"),
            ('axon_turns_total{status="completed",surface="chat"}', "0+60x20"),
        ),
        "15m",
    ),
    Condition(
        "AxonSlow",
        (
            ('axon_overhead_seconds_bucket{le="0.05"}', "0+0x30"),
            ('axon_overhead_seconds_bucket{le="0.5"}', "0+60x30"),
            ('axon_overhead_seconds_bucket{le="+Inf"}', "0+60x30"),
        ),
        "25m",
    ),
    Condition(
        "AxonQueueLong",
        (
            ('axon_queue_wait_seconds_bucket{gen_ai_request_model="m",le="5"}', "0+0x20"),
            ('axon_queue_wait_seconds_bucket{gen_ai_request_model="m",le="60"}', "0+60x20"),
            ('axon_queue_wait_seconds_bucket{gen_ai_request_model="m",le="+Inf"}', "0+60x20"),
        ),
        "15m",
    ),
    Condition(
        "AxonTelemetryDropped",
        (('axon_telemetry_dropped_total{signal="traces"}', "0+60x20"),),
        "15m",
    ),
    Condition(
        "AxonTurnsWithoutPrice", (("axon_metering_turns_without_price_total", "0+5x70"),), "65m"
    ),
    Condition("AxonTaskStuck", (('axon_task_lag_seconds{task="webhooks"}', "1000x10"),), "9m"),
    Condition("AxonKeysOld", (("axon_accounts_age_seconds", "400x10"),), "9m"),
    Condition("AxonClockStepped", (("axon_clock_steps_total", "0 0 0 1 1 1 1 1 1 1 1 1"),), "10m"),
    Condition("AxonGpuError", (('DCGM_FI_DEV_XID_ERRORS{Hostname="g1",gpu="0"}', "79x10"),), "9m"),
)
