"""The journals against PostgreSQL: has every record left what it says?"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from axon.app.reconcile.counts import Counts
from axon.app.reconcile.difference import Findings
from axon.app.reconcile.expected import (
    ExpectedKey,
    ExpectedMetering,
    ExpectedPlace,
    ExpectedTurn,
    deleted_items,
    expected_events,
    expected_key,
    expected_metering,
    expected_place,
    expected_turn,
)
from axon.app.reconcile.rows import (
    read_conversations,
    read_events,
    read_keys,
    read_metered,
    read_parked,
    read_places,
    read_turns,
)
from axon.base import MIB
from axon.journal import LOST_KIND, Entry, EntryGone, JournalReader, inspect
from axon.records import Record, SubjectErased, TokenUsage, UnknownRecord, decode

_BATCH_ENTRIES = 512
_BATCH_BYTES = 4 * MIB
"""What is compared at a time, and all that is in memory of a journal."""

_ENDED_REMEMBERED = 100_000
"""Turns whose end was seen, some 10 MB: a second end, which recovery may write, changes nothing."""

_UNEXPLAINED_MAX = 100_000
"""Items and keys that are not there, some 20 MB, until a later record explains them. With more the
fault is not one record's, and that is what is said."""

Positions = dict[Path, int]
"""How far each journal's folder is looked at."""


@dataclass(slots=True)
class Comparison:
    """Reads journals in order and compares them batch by batch; bounded memory."""

    connection: asyncpg.Connection
    findings: Findings
    keys_since_us: int
    """Idempotency keys of before may have been forgotten, as they must."""
    counts: Counts
    _ended: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _metered: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Likewise, those whose first end was metered."""
    _missing: dict[tuple[int, str], str] = field(default_factory=dict)
    """Items (user, id) that are not where their record put them, and where that was; a later
    record may explain each."""
    _keys: dict[tuple[int, bytes], ExpectedKey] = field(default_factory=dict)
    """Keys that are not there, likewise."""

    async def compare(self, directory: Path, through: int, progress: Callable[[int], None]) -> None:
        """Compare a journal up to a position that PostgreSQL has passed.

        `progress` is given the last sequence of each batch. Raises JournalError or OSError.
        """
        self.counts.begin(directory.name, _oldest(directory))
        for batch in batches(directory, through):
            bounds = (batch[0].sequence, batch[-1].sequence)
            name = directory.name
            records = dict(self._records(name, batch))
            parked = await read_parked(self.connection, "conversations", name, bounds)
            await self._compare([records[at] for at in records if at not in parked])
            parked = await read_parked(self.connection, "metering", name, bounds)
            metered = [records[at] for at in records if at not in parked]
            await self._compare_metering(metered)
            await self._compare_events(metered)
            turns = await self._count(name, bounds, records)
            await self.counts.compare_turns(self.connection, turns)
            progress(bounds[1])

    async def compare_counts(self, positions: Positions) -> None:
        """Compare what limits have counted, having read on to where PostgreSQL counted them."""
        names = [directory.name for directory in positions]
        counted, cursors = await self.counts.read(self.connection, names)
        for directory, through in positions.items():
            for batch in batches(directory, cursors.get(directory.name, 0), through):
                bounds = (batch[0].sequence, batch[-1].sequence)
                records = {entry.sequence: one for entry in batch if (one := _read(entry))}
                await self._count(directory.name, bounds, records)
        self.counts.compare(counted)

    async def _count(
        self, instance: str, bounds: tuple[int, int], records: dict[int, Record]
    ) -> list[str]:
        parked = await read_parked(self.connection, "limits", instance, bounds)
        return self.counts.note(instance, [records[at] for at in records if at not in parked])

    def explain(self, positions: Positions) -> None:
        """Read the journals again for what took away the items that are missing; blocks."""
        if not self._missing and not self._keys:
            return
        for directory, through in positions.items():
            for batch in batches(directory, through):
                for entry in batch:
                    self._explain(entry)

    def settle(self) -> None:
        """Note as differences what nothing explains."""
        for (_, item_id), where in self._missing.items():
            self.findings.add("item", item_id, "postgresql", f"it is not at {where}")
        if len(self._missing) + len(self._keys) >= _UNEXPLAINED_MAX:
            finding = f"more than {_UNEXPLAINED_MAX:,} are missing, not all were looked at"
            self.findings.add("item", "", "postgresql", finding)
        for key in self._keys.values():
            self.findings.add(
                "key", key.object_id, "postgresql", "its idempotency key is not known"
            )

    def _records(self, instance: str, batch: list[Entry]) -> Iterator[tuple[int, Record]]:
        """Yield what can be read; a parked record is named by the database's own check."""
        for entry in batch:
            name = f"{instance}:{entry.sequence}"
            if entry.kind == LOST_KIND:
                self.findings.add("entry", name, "journal", "it was lost, and salvage says so")
                continue
            try:
                record = decode(entry.kind, entry.payload)
            except UnknownRecord as error:
                self.findings.add("entry", name, "journal", f"it cannot be read: {error}")
                continue
            self.findings.journal[f"{type(record).__name__} in {instance}"] += 1
            yield entry.sequence, record

    async def _compare(self, records: list[Record]) -> None:
        turns = [turn for record in records if (turn := expected_turn(record)) is not None]
        places = [place for record in records if (place := expected_place(record)) is not None]
        keys = [key for record in records if (key := expected_key(record)) is not None]
        told = {(turn.user, turn.conversation_id) for turn in turns if turn.conversation_id}
        told |= {place.place[:2] for place in places}
        conversations = await read_conversations(self.connection, told)
        emptied = {place for place, row in conversations.items() if row["items_deleted"]}
        deleted = {place for place, row in conversations.items() if row["deleted"]}
        rows = await read_turns(self.connection, {(turn.user, turn.turn_id) for turn in turns})
        for turn in turns:
            row = rows.get((turn.user, turn.turn_id))
            if (turn.user, turn.conversation_id) not in emptied:
                self._compare_turn(turn, row)
        there = await read_places(self.connection, {place.place for place in places})
        for place in places:
            self._compare_place(place, there.get(place.place), place.place[:2] in deleted)
        known = await read_keys(self.connection, {(key.user, key.key_mac) for key in keys})
        for key in keys:
            found = known.get((key.user, key.key_mac))
            if found is None and key.at_us > self.keys_since_us and self._has_room():
                self._keys[key.user, key.key_mac] = key
            elif found and found["at_us"] == key.at_us and found["object_id"] != key.object_id:
                finding = f"its idempotency key stands for {found['object_id']}"
                self.findings.add("key", key.object_id, "postgresql", finding)

    async def _compare_metering(self, records: list[Record]) -> None:
        """Compare what each turn consumed and cost, to the token and the nano-unit."""
        first: dict[str, ExpectedMetering] = {}
        for record in records:
            turn = expected_metering(record)
            if turn is not None and turn.turn_id not in self._metered:
                first.setdefault(turn.turn_id, turn)
        wanted = {(turn.user, turn.turn_id) for turn in first.values()}
        rows = await read_metered(self.connection, wanted)
        for turn in first.values():
            self._metered[turn.turn_id] = None
            if len(self._metered) > _ENDED_REMEMBERED:
                self._metered.popitem(last=False)
            self.findings.journal["turns metered"] += 1
            self.findings.journal["nano-units charged"] += turn.charge.cost_nano
            row = rows.get((turn.user, turn.turn_id))
            if row is None:
                self.findings.add("usage", turn.turn_id, "postgresql", "it was not metered")
            elif tuple(row)[2:] != turn.figures:
                finding = f"it was metered as {tuple(row)[2:]}, its record says {turn.figures}"
                self.findings.add("usage", turn.turn_id, "postgresql", finding)

    async def _compare_events(self, records: list[Record]) -> None:
        """Find outside events that are not there; one that came again is there once."""
        for record in records:
            wanted = expected_events(record)
            self.findings.journal["outside events, repeats too"] += len(wanted)
            there = await read_events(self.connection, wanted)
            for org_id, source, event_id in dict.fromkeys(wanted):
                if (org_id, source, event_id) not in there:
                    name = f"{org_id} {source} {event_id}"
                    self.findings.add("event", name, "postgresql", "it is not there")

    def _compare_turn(self, turn: ExpectedTurn, row: asyncpg.Record | None) -> None:
        if row is None:
            self.findings.add("turn", turn.turn_id, "postgresql", "it is not there")
            return
        if not turn.status or turn.turn_id in self._ended:
            return
        self._ended[turn.turn_id] = None
        if len(self._ended) > _ENDED_REMEMBERED:
            self._ended.popitem(last=False)
        if row["status"] != turn.status:
            finding = f"it is {row['status']}, its record says {turn.status}"
            self.findings.add("turn", turn.turn_id, "postgresql", finding)
        usage = turn.usage
        wanted = (usage.input_tokens, usage.cached_tokens, *_output(usage))
        has = tuple(row[3:7])
        self.findings.journal["turns ended"] += 1
        self.findings.postgresql["turns ended"] += row["status"] != "in_progress"
        self.findings.journal["tokens of these"] += wanted[0] + wanted[2]
        self.findings.postgresql["tokens of these"] += has[0] + has[2]
        if has != wanted:
            finding = f"input, cached, output and reasoning are {has}, its record says {wanted}"
            self.findings.add("tokens", turn.turn_id, "postgresql", finding)

    def _compare_place(
        self, place: ExpectedPlace, row: asyncpg.Record | None, is_deleted: bool
    ) -> None:
        user, conversation_id, sequence = place.place
        where = f"place {sequence} of {conversation_id}"
        if row is None or row["fence"] < place.fence:
            self.findings.add("place", place.origin_id, "postgresql", f"it is not at {where}")
            return
        if row["fence"] > place.fence or row["origin_id"] != place.origin_id:
            if row["fence"] == place.fence:
                finding = f"{row['origin_id']} stands at {where}"
                self.findings.add("place", place.origin_id, "postgresql", finding)
            return  # a higher fence took the place, as it must
        if row["cold"]:
            return  # what it holds is in the archive
        has = row["item_ids"]
        self.findings.journal["items of these"] += len(place.item_ids)
        self.findings.postgresql["items of these"] += len(has)
        kept = set(has)
        if [item_id for item_id in place.item_ids if item_id in kept] != has:
            finding = f"{where} holds {len(has)} items, its record has {len(place.item_ids)}"
            self.findings.add("item", place.origin_id, "postgresql", f"{finding}, or in this order")
        if is_deleted:
            return  # a turn that ended afterwards brought none
        for item_id in place.item_ids:
            if item_id not in kept and self._has_room():
                self._missing[user, item_id] = where

    def _has_room(self) -> bool:
        return len(self._missing) + len(self._keys) < _UNEXPLAINED_MAX

    def _explain(self, entry: Entry) -> None:
        record = _read(entry)
        if record is None:
            return
        for item in deleted_items(record):
            self._missing.pop(item, None)
        if isinstance(record, SubjectErased):
            for place in [place for place in self._missing if place[0] == record.user]:
                del self._missing[place]
            for key in [key for key in self._keys if key[0] == record.user]:
                del self._keys[key]


def _output(usage: TokenUsage) -> tuple[int, int]:
    return usage.output_tokens, usage.reasoning_tokens


def _read(entry: Entry) -> Record | None:
    """Return what an entry says; None for one that was lost or cannot be read."""
    if entry.kind == LOST_KIND:
        return None
    try:
        return decode(entry.kind, entry.payload)
    except UnknownRecord:
        return None


def batches(directory: Path, through: int, after: int = 0) -> Iterator[list[Entry]]:
    """Yield a journal's entries behind one position and up to another, oldest first; blocks.

    Raises JournalError.

    What is retired meanwhile is passed over: it was old, and nothing else makes room.
    """
    with closing(JournalReader(directory)) as reader:
        after = max(after, _oldest(directory) - 1)
        while after < through:
            try:
                most = min(_BATCH_ENTRIES, through - after)
                entries = reader.read(after, most, _BATCH_BYTES)
            except EntryGone:
                oldest = _oldest(directory) - 1
                if oldest <= after:
                    raise
                after = oldest
                continue
            yield entries
            after = entries[-1].sequence


def _oldest(directory: Path) -> int:
    return inspect(directory).segments[0].first_sequence
