"""Reads the ends of turns in this node's journals, and makes spans of those that are to be kept.

Which those are is decided when the whole turn is known: all that failed or were slow, and of the
others the share that is set.
"""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from axon.base import MIB
from axon.journal import EntryGone, JournalError, JournalMissing, JournalReader
from axon.records import KINDS, TurnCompleted, TurnInterrupted, UnknownRecord, decode
from axon.telemetry import Span, counter, is_sampled, log
from axon.tracing.turn_spans import SpanOptions, TurnEnd, duration_us, failed, trace_of, turn_spans

ENTRIES_MAX = 2_000
BYTES_MAX = 8 * MIB
"""Of one look at one journal: some tens of milliseconds."""

BEHIND_MAX = 50_000
"""Entries. Who was away for longer goes on with the newest: traces are for what happens now."""

_ENDS = {kind for kind, record in KINDS.items() if record in (TurnCompleted, TurnInterrupted)}

_seen = counter("axon_traces_turns_total", "Ended turns that were looked at for traces.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which turns leave a trace."""

    ratio: float
    """The share of all, by the trace's id."""
    slow_s: float
    """Every turn that took so long."""

    def keeps(self, record: TurnEnd) -> bool:
        """Return whether the turn leaves one."""
        if failed(record) or duration_us(record) >= self.slow_s * 1e6:
            return True
        return is_sampled(trace_of(record.head), self.ratio)


class Trace(msgspec.Struct, frozen=True):
    """The spans of one turn, and where its end stands."""

    instance: str
    sequence: int
    spans: list[Span]


@dataclass(slots=True)
class _Followed:
    reader: JournalReader
    after: int


@dataclass(slots=True)
class TurnFollower:
    """For one thread; blocks while it reads."""

    root: Path
    """The folder of this node's journals."""
    sampling: Sampling
    options: SpanOptions
    places: dict[str, int] = field(default_factory=dict)
    """How far each journal was read, as it was left the last time."""
    _followed: dict[Path, _Followed] = field(default_factory=dict)

    def look_around(self) -> None:
        """Find journals that are new; one that goes on too far behind its place is read from its
        end on."""
        for directory in sorted(path for path in self.root.glob("*") if path.is_dir()):
            if directory in self._followed:
                continue
            try:
                reader = JournalReader(directory)
            except JournalMissing:
                continue  # its process is just making it
            except JournalError as error:
                log.warning("traces.unreadable", "No traces.", error__message=str(error))
                continue
            end = reader.durable_through()
            after = self.places.get(reader.instance, 0)
            if not end - BEHIND_MAX <= after <= end:
                after = end
            self._followed[directory] = _Followed(reader, after)
            self.places[reader.instance] = after

    def read(self) -> list[Trace]:
        """Return the traces of turns that have ended since; raises OSError.

        A journal that cannot be read on goes on with what comes next.
        """
        found: list[Trace] = []
        for one in self._followed.values():
            try:
                entries = one.reader.read(one.after, ENTRIES_MAX, BYTES_MAX)
            except (EntryGone, JournalError) as error:
                log.warning("traces.skipped", "Turns have no traces.", error__message=str(error))
                one.after = one.reader.durable_through()
                entries = []
            for entry in entries:
                one.after = entry.sequence
                spans = self._spans(entry.payload, entry.kind) if entry.kind in _ENDS else []
                if spans:
                    found.append(Trace(one.reader.instance, entry.sequence, spans))
            self.places[one.reader.instance] = one.after
        return found

    def close(self) -> None:
        """Give back the open files."""
        for one in self._followed.values():
            one.reader.close()
        self._followed.clear()

    def _spans(self, payload: bytes, kind: int) -> list[Span]:
        try:
            record = decode(kind, payload)
        except UnknownRecord:
            return []  # the projector parks it, and says so
        assert isinstance(record, TurnCompleted | TurnInterrupted)
        if record.head.unplaced:
            return []  # its end comes again, with its place
        _seen.inc()
        return turn_spans(record, self.options) if self.sampling.keeps(record) else []
