"""The whole comparison, on a running system: first PostgreSQL is let catch up, then it is asked.

Nothing is locked and nothing is written. Each journal is compared up to the position it had at the
start; what is not explained then is looked at again, for it may have changed meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import asyncpg

from axon.app.folders import DataFolder
from axon.app.migrations import CONNECT_TIMEOUT_S
from axon.app.reconcile.counts import Counts
from axon.app.reconcile.difference import Findings, Report
from axon.app.reconcile.journals import Comparison, Positions
from axon.app.reconcile.rows import check_database, read_cursors
from axon.app.reconcile.windows import WINDOWS_AT_ONCE, Windows
from axon.base import MICROS_PER_SECOND, AxonError, SystemClock
from axon.journal import JournalMissing, inspect, read_durable
from axon.stores import Valkey

CATCH_UP_S = 60.0
"""How long PostgreSQL may take to have what the journals have; the projector needs a second."""

LOOKS_MAX = 3
"""How often a window that differs is looked at; one in use may be ahead of PostgreSQL each time."""

KEYS_KEPT_US = 86_400 * MICROS_PER_SECOND
"""An idempotency key is kept for a day at least; how much longer is nobody's promise."""

EPOCH_BYTES = 16
"""Of the file that holds the node's epoch; see conversations/epoch.py."""

VALKEY_TIMEOUT_MS = 5_000
"""Off the hot path, so a large window may take its time."""

_POLL_S = 0.05


class ProjectorBehind(AxonError):
    """PostgreSQL does not catch up with the journals, so nothing can be compared: axon doctor."""


class Stage(NamedTuple):
    """How far the comparison is: entries of one journal."""

    journal: str
    done: int
    total: int


async def reconcile(
    folder: DataFolder, database_url: str, valkey_url: str, progress: Callable[[Stage], None]
) -> Report:
    """Compare this node's journals, PostgreSQL and Valkey; return every difference.

    Raises ProjectorBehind, ValkeyAway, JournalError, OSError, or what asyncpg raises when
    PostgreSQL is away.
    """
    findings = Findings()
    connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    valkey = Valkey(valkey_url, timeout_ms=VALKEY_TIMEOUT_MS)
    try:
        await valkey.start()
        await _compare_journals(connection, folder, findings, progress)
        await check_database(connection, findings)
        epoch = await asyncio.to_thread(_epoch, folder.valkey_epoch)
        windows = Windows(valkey, connection, epoch, findings)
        await _compare_windows(windows, connection, folder, findings)
    finally:
        await valkey.stop()
        await connection.close()
    return findings.report()


async def _compare_journals(
    connection: asyncpg.Connection,
    folder: DataFolder,
    findings: Findings,
    progress: Callable[[Stage], None],
) -> None:
    positions = await _caught_up(connection, folder.journals)
    now_us = SystemClock().now_us()
    since_us = now_us - KEYS_KEPT_US
    comparison = Comparison(connection, findings, since_us, Counts(findings, now_us))
    for directory, through in positions.items():
        first = (await asyncio.to_thread(inspect, directory)).segments[0].first_sequence

        def show(done: int, directory: Path = directory, first: int = first) -> None:
            total = positions[directory] - first + 1
            progress(Stage(directory.name, done - first + 1, total))

        await comparison.compare(directory, through, show)
    await comparison.compare_counts(positions)
    now = await _caught_up(connection, folder.journals)
    await asyncio.to_thread(comparison.explain, now)
    comparison.settle()
    for instance, sequence in (await read_cursors(connection)).items():
        directory = folder.journals / instance
        if directory in now and sequence > await asyncio.to_thread(read_durable, directory):
            finding = f"PostgreSQL has {sequence} entries of it, it has fewer"
            findings.add("cursor", instance, "journal", finding)


async def _compare_windows(
    windows: Windows, connection: asyncpg.Connection, folder: DataFolder, findings: Findings
) -> None:
    suspects = await windows.suspects()
    for _ in range(LOOKS_MAX - 1):
        if not suspects:
            break
        await _caught_up(connection, folder.journals)
        names = list(suspects)
        suspects = {}
        for start in range(0, len(names), WINDOWS_AT_ONCE):
            suspects |= await windows.compare(names[start : start + WINDOWS_AT_ONCE])
    for name, finding in suspects.items():
        findings.add("window", name, "valkey", finding)


async def _caught_up(connection: asyncpg.Connection, root: Path) -> Positions:
    """Return how far each journal is durable, once PostgreSQL has all of it."""
    positions = await asyncio.to_thread(_positions, root)
    deadline = time.monotonic() + CATCH_UP_S
    while True:
        cursors = await read_cursors(connection)
        behind = {
            directory.name: through - cursors.get(directory.name, 0)
            for directory, through in positions.items()
            if cursors.get(directory.name, 0) < through
        }
        if not behind:
            return positions
        if time.monotonic() > deadline:
            lags = ", ".join(f"{name} by {lag:,} entries" for name, lag in behind.items())
            raise ProjectorBehind(lags)
        await asyncio.sleep(_POLL_S)


def _positions(root: Path) -> Positions:
    """Return how far each journal of the node is durable; blocks. Copies are no journals."""
    positions: Positions = {}
    for directory in sorted(path for path in root.glob("*") if path.is_dir()):
        try:
            summary = inspect(directory)
        except JournalMissing:
            continue
        if summary.instance == directory.name and summary.durable_through:
            positions[directory] = summary.durable_through
    return positions


def _epoch(path: Path) -> bytes:
    """Return the name under which windows are believed; none before the first serving process."""
    try:
        return path.read_bytes()[:EPOCH_BYTES]
    except FileNotFoundError:
        return b""
