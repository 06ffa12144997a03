"""Opens the journal of a serving process as the settings want it, and says what it found."""

from collections.abc import Callable
from pathlib import Path

from axon.app.settings import JournalSettings
from axon.base import Clock
from axon.journal import Journal, JournalEnvironment, JournalOptions, SystemDisk
from axon.telemetry import log


def open_journal(
    directory: Path,
    settings: JournalSettings,
    clock: Clock,
    on_fatal: Callable[[BaseException], None],
) -> Journal:
    """Return the journal, recovered; blocks. The folder has the name of its instance.

    Raises JournalError when it cannot be used; `on_fatal` is called when its disk fails later.
    """
    journal = Journal.open(
        directory,
        directory.name,
        _options(settings),
        JournalEnvironment(disk=SystemDisk(), clock=clock, on_fatal=on_fatal),
    )
    recovery = journal.recovery
    if recovery.torn_bytes:
        log.warning(
            "journal.torn",
            "A write the last process did not finish was cut off; it was never acknowledged.",
            axon__journal__torn_bytes=recovery.torn_bytes,
            axon__journal__torn_copy=str(recovery.torn_copy),
        )
    return journal


def _options(settings: JournalSettings) -> JournalOptions:
    return JournalOptions(
        segment_bytes=settings.segment_bytes,
        queue_entries_max=settings.queue_entries_max,
        queue_bytes_max=settings.queue_bytes_max,
        entry_bytes_max=settings.entry_bytes_max,
        retention_s=settings.retention_s,
        reserve_bytes=settings.reserve_bytes,
        low_water_bytes=settings.low_water_bytes,
    )
