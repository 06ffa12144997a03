"""What limits have counted against what the journals say that turns used of them."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import asyncpg

from axon.app.reconcile.difference import Findings
from axon.app.reconcile.expected import ExpectedCount, expected_counts
from axon.app.reconcile.rows import STATEMENT_TIMEOUT_S
from axon.base import MICROS_PER_SECOND
from axon.records import Record, TurnAccepted, TurnCompleted, TurnInterrupted

_DAY_US = 86_400 * MICROS_PER_SECOND
_COMPARED_US = {"day": 2 * _DAY_US, "month": 32 * _DAY_US}
"""Since its beginning; what is older may have been forgotten, for nobody can ask for it."""

_ORDER_US = 3600 * MICROS_PER_SECOND
"""A turn that ended before the oldest record that a journal retains was accepted so long before it
at most: turns are shorter."""

_REMEMBERED = 100_000
"""Turns whose end was seen, some 10 MB: one whose end comes again, with its place, counts once."""

Key = tuple[str, str, int, str]
"""Organization, bucket, beginning of its period, journal."""

_THERE = "SELECT turn_id FROM limits.turns WHERE turn_id = ANY($1::text[])"

# One statement, so one instant: what is counted is what ended up to the cursors.
_COUNTS = """
SELECT org_id, bucket, start_us, instance, used::bigint AS used, NULL::bigint AS cursor
FROM limits.counts WHERE instance = ANY($1::text[]) AND start_us > $2
UNION ALL SELECT NULL, NULL, NULL, instance, NULL, sequence
FROM projection.cursors WHERE instance = ANY($1::text[])
"""


@dataclass(slots=True)
class Counts:
    """Adds up what the records say; as many sums as there are counters of days and months."""

    findings: Findings
    now_us: int
    _sums: dict[Key, int] = field(default_factory=dict)
    _complete_from_us: dict[str, int] = field(default_factory=dict)
    """Since when each journal has every turn's end: 0 for one that has lost none to retirement."""
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def begin(self, instance: str, first_sequence: int) -> None:
        """Know the oldest entry that a journal retains; it is read from there."""
        if first_sequence == 1:
            self._complete_from_us[instance] = 0

    def note(self, instance: str, records: Iterable[Record]) -> list[str]:
        """Add what these records say; return the turns that must have been counted."""
        turns = []
        for record in records:
            if isinstance(record, TurnAccepted | TurnCompleted | TurnInterrupted):
                begins_us = record.head.accepted_us + _ORDER_US
                self._complete_from_us.setdefault(instance, begins_us)
            counts = [one for one in expected_counts(record) if self._is_compared(one)]
            if not counts or counts[0].turn_id in self._seen:
                continue
            turns.append(counts[0].turn_id)
            self._seen[turns[-1]] = None
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            for one in counts:
                key = (one.org_id, one.bucket, one.start_us, instance)
                self._sums[key] = self._sums.get(key, 0) + one.used
        return turns

    async def compare_turns(self, connection: asyncpg.Connection, turns: list[str]) -> None:
        """Name the turns that were not counted at all; PostgreSQL has passed their records."""
        if not turns:
            return
        there = await connection.fetch(_THERE, turns, timeout=STATEMENT_TIMEOUT_S)
        known = {row["turn_id"] for row in there}
        self.findings.journal["turns counted by limits"] += len(turns)
        self.findings.postgresql["turns counted by limits"] += len(known)
        for turn_id in turns:
            if turn_id not in known:
                self.findings.add("limit", turn_id, "postgresql", "no limit has counted it")

    def compare(self, counted: dict[Key, int]) -> None:
        """Name every counter that is not what the turns used, up to where it was counted.

        Of a period whose first turns a journal retains no more it cannot be told whether too much
        was counted, only whether too little was.
        """
        for key in sorted({*self._sums, *counted}):
            wanted, has = self._sums.get(key, 0), counted.get(key, 0)
            org_id, bucket, start_us, instance = key
            whole = self._complete_from_us.get(instance, self.now_us) <= start_us
            self.findings.journal["used of limits"] += wanted
            self.findings.postgresql["used of limits"] += has if whole else wanted
            if has < wanted or (whole and has > wanted):
                at_least = "" if whole else "at least "
                finding = f"{has} is counted of {instance}, its turns used {at_least}{wanted}"
                self.findings.add("limit", f"{org_id}:{bucket}:{start_us}", "postgresql", finding)

    def _is_compared(self, one: ExpectedCount) -> bool:
        return one.start_us + _COMPARED_US[one.period] > self.now_us

    async def read(
        self, connection: asyncpg.Connection, instances: list[str]
    ) -> tuple[dict[Key, int], dict[str, int]]:
        """Return what PostgreSQL has counted of these journals, and up to which entry of each."""
        oldest_us = self.now_us - max(_COMPARED_US.values())
        rows = await connection.fetch(_COUNTS, instances, oldest_us, timeout=STATEMENT_TIMEOUT_S)
        counted = {tuple(row)[:4]: row["used"] for row in rows if row["org_id"] is not None}
        cursors = {row["instance"]: row["cursor"] for row in rows if row["org_id"] is None}
        return counted, cursors
