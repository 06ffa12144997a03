"""Five books of one installation's turns, and the comparing of them to the token and nano-unit.

A turn is one line of a book, its id the key. What must be equal:

- `engine` (ledger_engine): what the fake upstream's ledger says of the one run whose answer the
  turn kept, which the record names by the engine's own id (`upstream_id`); priced by `Tariff`,
  whose arithmetic is its own. A turn that was run again after a crash counts that run alone. Where
  the engine had no chance to say its usage (the turn was cancelled, its process died, the engine
  failed or never counts), the record is marked as estimated, and its own tokens stand here: their
  price is still compared, and they may not be more than what the engine had generated is worth.
- `journal`: the first record that ends the turn. It is the truth, every other book is held to it.
- `turns`: the rows of `metering.turns`.
- `kafka`: the events that a consumer got, once for each id.

Sums that have no turns are compared by organization and currency: each table of rollups, and the
meters of Stripe, which know nano-units alone. A difference is the sum of what each turn, or each
organization, is off, without its sign: two errors never make up for each other.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from axon.base import MIB
from axon.journal import JournalReader
from axon.metering import ROLLUPS
from axon.records import TurnAccepted, TurnCompleted, TurnInterrupted, decode

KINDS = ("input", "cached", "written", "output", "reasoning", "nano", "turns")
RATE_TOKENS = 1_000_000


class Spent(NamedTuple):
    """One turn, or the sum of some: tokens by kind, and nano-units of the currency."""

    org_id: str
    currency: str
    input: int
    cached: int
    written: int
    output: int
    reasoning: int
    nano: int
    turns: int = 1

    def off(self, other: "Spent") -> dict[str, int]:
        """Return by how much each kind differs; all of both where somebody else pays."""
        if self[:2] != other[:2]:
            return {kind: abs(getattr(self, kind)) + abs(getattr(other, kind)) for kind in KINDS}
        return {kind: abs(getattr(self, kind) - getattr(other, kind)) for kind in KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A price as it was set: nano-units for a million tokens, and for each turn."""

    currency: str
    input: int
    cached: int
    written: int
    output: int
    reasoning: int
    request: int

    def cost(self, org_id: str, tokens: tuple[int, int, int, int, int]) -> Spent:
        """Return what these tokens cost: input, cached, written, output and reasoning."""
        into, cached, written, out, thought = tokens
        units = (into - cached - written) * self.input + cached * self.cached
        units += written * self.written + (out - thought) * self.output + thought * self.reasoning
        nano = (units + RATE_TOKENS // 2) // RATE_TOKENS + self.request
        return Spent(org_id, self.currency, *tokens, nano)


Turns = dict[str, Spent]
Sums = dict[tuple[str, str], Spent]
Ended = TurnCompleted | TurnInterrupted


@dataclass(slots=True, kw_only=True)
class Difference:
    """What a book says otherwise than the journal."""

    book: str
    lines: int
    """Of the book: turns, or organizations of a book of sums."""
    missing: int = 0
    foreign: int = 0
    """Lines the journal does not have."""
    off: Counter[str] = field(default_factory=Counter)

    @property
    def whole(self) -> bool:
        """Return whether the book is the journal's equal."""
        return not (self.missing or self.foreign or any(self.off.values()))

    def __str__(self) -> str:
        """Return a line of the table."""
        kinds = "".join(f"{self.off[kind]:11}" for kind in KINDS)
        return f"{self.book:28}{self.lines:8}{self.missing:9}{self.foreign:9}{kinds}"


HEADINGS = f"{'journal against':28}{'lines':>8}{'missing':>9}{'foreign':>9}" + "".join(
    f"{kind:>11}" for kind in KINDS
)


def compare(
    book: str,
    truth: Mapping[Any, Spent],
    other: Mapping[Any, Spent],
    kinds: Iterable[str] = KINDS,
) -> Difference:
    """Return how another book differs from the true one, in these kinds; lines have equal keys."""
    found = Difference(book=book, lines=len(other))
    found.missing = len(truth.keys() - other.keys())
    found.foreign = len(other.keys() - truth.keys())
    for key in truth.keys() | other.keys():
        known = truth.get(key) or other[key]
        nothing = Spent(known.org_id, known.currency, 0, 0, 0, 0, 0, 0, 0)
        off = truth.get(key, nothing).off(other.get(key, nothing))
        found.off.update({kind: off[kind] for kind in kinds})
    return found


def sums_of(turns: Turns) -> Sums:
    """Return the turns by organization and currency."""
    sums: Sums = {}
    for one in turns.values():
        key = (one.org_id, one.currency)
        before = sums.get(key, Spent(*key, 0, 0, 0, 0, 0, 0, 0))
        sums[key] = Spent(*key, *(a + b for a, b in zip(before[2:], one[2:], strict=True)))
    return sums


@dataclass(slots=True, kw_only=True)
class Journal:
    """What the journals say: the first end of each turn, and what has none."""

    ended: dict[str, Ended] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def turns(self) -> Turns:
        """Return the lines of this book."""
        return {turn_id: spent_of(record) for turn_id, record in self.ended.items()}


def read_journals(folder: Path) -> Journal:
    """Return what every journal below the folder holds; blocks."""
    found, accepted = Journal(), set[str]()
    for path in sorted(one for one in folder.iterdir() if one.is_dir()):
        reader, after = JournalReader(path), 0
        while entries := reader.read(after, 1000, MIB):
            after = entries[-1].sequence
            for entry in entries:
                record = decode(entry.kind, entry.payload)
                if isinstance(record, TurnAccepted):
                    accepted.add(record.head.turn_id)
                elif isinstance(record, Ended):
                    found.ended.setdefault(record.head.turn_id, record)
    found.open = accepted - found.ended.keys()
    return found


def spent_of(record: Ended) -> Spent:
    """Return what a record says that its turn came to."""
    usage, charge = record.usage, record.charge
    return Spent(
        record.head.org_id, charge.currency, usage.input_tokens, usage.cached_tokens,
        usage.cache_write_tokens, usage.output_tokens, usage.reasoning_tokens, charge.cost_nano,
    )  # fmt: skip


async def turns_in(connection: asyncpg.Connection) -> Turns:
    """Return the rows of `metering.turns`."""
    rows = await connection.fetch("SELECT * FROM metering.turns")
    return {row["turn_id"]: _spent(row, row["org_id"]) for row in rows}


async def rollups_in(connection: asyncpg.Connection) -> dict[str, Sums]:
    """Return the sums of each table of rollups, by the table's name."""
    found: dict[str, Sums] = {table: {} for table in ROLLUPS}
    for table in ROLLUPS:
        rows = await connection.fetch(
            f"SELECT org_id, currency, {_SUMS} FROM metering.{table} GROUP BY 1, 2"
        )
        for row in rows:
            one = _spent(row, row["org_id"])._replace(turns=row["requests_count"])
            found[table][one.org_id, one.currency] = one
    return found


def kafka_book(events: dict[str, bytes]) -> Turns:
    """Return the events of turns that a consumer got, by their ids."""
    found = {}
    for event_id, body in events.items():
        event = json.loads(body)
        found[event_id] = _spent(event["data"], event["subject"])
    return found


_SUMS = ", ".join(
    f"sum({name})::bigint AS {name}"
    for name in (
        "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens",
        "reasoning_tokens", "cost_nano", "requests_count",
    )
)  # fmt: skip


def _spent(row: Any, org_id: str) -> Spent:
    return Spent(
        org_id, row["currency"], row["input_tokens"], row["cached_tokens"],
        row["cache_write_tokens"], row["output_tokens"], row["reasoning_tokens"], row["cost_nano"],
    )  # fmt: skip
