"""What is counted of the journal: once a batch, on the thread that writes."""

from axon.telemetry import CounterTallies, HistogramTallies, gauge

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

_appends = CounterTallies("axon_journal_appends_total", "Entries made durable.").series()
_fsync = HistogramTallies("axon_journal_fsync_seconds", "One flush to the disk.").series()
_batch = HistogramTallies(
    "axon_journal_batch_entries", "Entries made durable by one flush.", buckets=_BATCH_BUCKETS
).series()
_failed = gauge("axon_journal_failed", "1 once a write or a flush failed; the process then ends.")


def measure_batch(entries: int, fsync_s: float) -> None:
    """Count a batch that is on disk; takes a microsecond."""
    _appends.count += entries
    _fsync.observe(fsync_s)
    _batch.observe(entries)


def measure_failure() -> None:
    """Say that the disk refused."""
    _failed.set(1)
