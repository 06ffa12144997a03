"""Outside events: records of them, a journal that takes them, and what meters say."""

import json
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from axon.base import IdMint, SystemRandomness
from axon.base.ids import IDENTITY_BYTES
from axon.journal import Journal, JournalEnvironment, JournalOptions, SystemDisk
from axon.metering import (
    ClosingPolicy,
    Ingest,
    IngestParts,
    Meter,
    MeterQuestion,
    Meters,
    MeterSums,
    Sender,
)
from axon.projection import Positioned
from axon.records import EventsReceived, OutsideEvent, decode
from tests.metering.scene import DAY_US, ORG, START_US

TOKENS = Meter(
    slug="tokens",
    event_type="prompt",
    aggregation="SUM",
    value_property="$.tokens",
    group_by={"model": "$.model.name", "region": "$.region"},
)
METERS = Meters([TOKENS])


def meter(aggregation: Any, **changes: Any) -> Meter:
    """Return a meter over the same events that adds up in another way."""
    value = "" if aggregation == "COUNT" else "$.tokens"
    return Meter(
        slug="other",
        event_type="prompt",
        aggregation=aggregation,
        value_property=changes.pop("value_property", value),
        group_by=TOKENS.group_by,
        **changes,
    )


def outside(event_id: str, time_us: int = START_US, **data: Any) -> OutsideEvent:
    """Return an event; `subject`, `source`, `type` and `late` are its own, the rest is its data."""
    return OutsideEvent(
        source=data.pop("source", "svc"),
        id=event_id,
        type=data.pop("type", "prompt"),
        subject=data.pop("subject", "a"),
        time_us=time_us,
        late=data.pop("late", False),
        data=json.dumps(data).encode() if data else b"",
    )


def received(
    *events: OutsideEvent, sequence: int = 1, org_id: str = ORG, instance: str = "one"
) -> Positioned:
    """Return a batch in the journal."""
    record = EventsReceived(
        batch_id=f"evb_{sequence}",
        org_id=org_id,
        user=7,
        credential_id="key_1",
        received_us=START_US + sequence,
        events=list(events),
    )
    return Positioned(instance=instance, sequence=sequence, record=record)


async def stored(database: str) -> list[tuple[Any, ...]]:
    """Return every row there is."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT * FROM metering.events ORDER BY org_id, source, id")
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


async def values(
    sums: MeterSums, asked: Meter = TOKENS, **changes: Any
) -> dict[tuple[str, ...], Decimal]:
    """Return what a meter says by the beginning of its windows, the subject and the groups."""
    zone: tzinfo = changes.get("zone", UTC)
    question = MeterQuestion(
        org_id=changes.pop("org_id", ORG),
        meter=asked,
        from_us=changes.pop("from_us", START_US - 400 * DAY_US),
        to_us=changes.pop("to_us", START_US + 400 * DAY_US),
        **changes,
    )
    found = {}
    for one in await sums.ask(question):
        key: list[str] = []
        if question.window is not None:
            begins = datetime.fromtimestamp(one.window.start_us / 1e6, zone)
            key.append(begins.strftime("%Y-%m-%d %H:%M"))
        key += [] if one.subject is None else [one.subject]
        key += [str(group) for group in one.groups.values()]
        assert tuple(key) not in found
        found[tuple(key)] = one.value
    return found


class Taking:
    """A real journal, and what takes events into it."""

    def __init__(self, folder: Path, clock: Any, **options: Any) -> None:
        policy = options.pop("policy", ClosingPolicy())
        environment = JournalEnvironment(disk=SystemDisk(), clock=clock, on_fatal=_raise)
        self.journal = Journal.open(
            folder, "one", JournalOptions(**{"low_water_bytes": 0, **options}), environment
        )
        self.ingest = Ingest(
            IngestParts(
                journal=self.journal,
                mint=IdMint(bytes(IDENTITY_BYTES), clock, SystemRandomness()),
                clock=clock,
                meters=METERS,
                policy=policy,
            )
        )

    async def take(self, events: list[dict[str, Any]], zone: str = "UTC") -> None:
        sender = Sender(org_id=ORG, user=7, credential_id="key_1", time_zone=zone)
        await self.ingest.take_batch(sender, json.dumps(events).encode())

    def batches(self) -> list[EventsReceived]:
        """Return what is durable."""
        records = [decode(entry.kind, entry.payload) for entry in self.journal.read(0)]
        return [record for record in records if isinstance(record, EventsReceived)]


def _raise(error: BaseException) -> None:
    raise error
