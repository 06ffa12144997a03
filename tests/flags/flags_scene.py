"""Processes that keep flags: real journals, PostgreSQL and Valkey."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from axon.base import IdMint, SystemClock, SystemRandomness
from axon.flags import (
    Asked,
    Author,
    Changed,
    EvaluationContext,
    Flags,
    FlagsParts,
    FlagsProjector,
    split_document,
)
from axon.journal import Journal, JournalEnvironment, JournalOptions, SystemDisk
from axon.projection import Positioned
from axon.records import FlagsChanged, decode
from axon.sealing import Keyring
from axon.stores import Postgres, PostgresOptions, Valkey

ADA = Author(org_id="org_test", user=7, credential_id="key_ada")
PATIENCE_S = 60.0
NEVER_MS = 3_600_000
"""A poll so rare that what arrives did so over Valkey."""


def flag(variant: str = "on", state: str = "ENABLED", **more: Any) -> bytes:
    """Return a definition: who asks gets `variant`."""
    variants = {"on": "yes", "off": "no"}
    return json.dumps(
        {"state": state, "variants": variants, "defaultVariant": variant, **more}
    ).encode()


def document(**flags: bytes) -> bytes:
    """Return a document as flagd reads it."""
    return json.dumps({"flags": {name: json.loads(one) for name, one in flags.items()}}).encode()


class MovedClock(SystemClock):
    """The machine's clock, which a test may put forward."""

    __slots__ = ("ahead_us",)

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


@dataclass
class FlagsNode:
    """What the processes of one node share."""

    data: Path
    keyring: Keyring
    database: str
    valkey_url: str
    clock: MovedClock = field(default_factory=MovedClock)
    folder: Path | None = None

    async def process(self, name: str = "a", poll_every_ms: int = 20) -> "KeepingFlags":
        found = KeepingFlags(self, name, poll_every_ms)
        await found.open()
        return found


class KeepingFlags:
    """One process."""

    def __init__(self, node: FlagsNode, name: str, poll_every_ms: int) -> None:
        self.node = node
        self.name = name
        options = PostgresOptions(connect_timeout_s=1.0, schema_wanted=True)
        self.postgres = Postgres(node.database, options, node.clock)
        self.valkey = Valkey(node.valkey_url, timeout_ms=200, clock=node.clock)
        environment = JournalEnvironment(
            disk=SystemDisk(), clock=node.clock, on_fatal=lambda _: None
        )
        bounds = JournalOptions(reserve_bytes=0, low_water_bytes=0)
        self.journal = Journal.open(node.data / "journal" / name, name, bounds, environment)
        self.flags = Flags(
            FlagsParts(
                postgres=self.postgres,
                valkey=self.valkey,
                valkey_url=node.valkey_url,
                journal=self.journal,
                mint=IdMint(node.keyring.identity, node.clock, SystemRandomness()),
                clock=node.clock,
                snapshot=node.data / "flags.json",
                folder=node.folder,
                poll_every_ms=poll_every_ms,
            )
        )

    async def open(self) -> None:
        await self.postgres.start()
        await self.valkey.start()
        await self.flags.start()

    async def close(self) -> None:
        await self.flags.stop()
        await self.journal.close()
        await self.valkey.stop()
        await self.postgres.stop()

    async def change(self, why: str = "", **wanted: bytes) -> Changed:
        """Change flags by their names; an empty definition archives."""
        defined = split_document(document(**{name: one for name, one in wanted.items() if one}))
        gone = {name: b"" for name, one in wanted.items() if not one}
        both = {**defined, **gone}
        return await self.flags.changes.make(Asked(author=ADA, why=why, wanted=both))

    async def bring(self, content: bytes, why: str = "") -> Changed:
        """Change what a document defines."""
        wanted = split_document(content)
        return await self.flags.changes.make(Asked(author=ADA, why=why, wanted=wanted))

    def variant(self, key: str = "tone") -> str | None:
        context = EvaluationContext(now_us=self.node.clock.now_us(), targeting_key="ada")
        return self.flags.flag_set.evaluate(key, context).variant

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not so():
                await asyncio.sleep(0.005)

    def records(self) -> list[FlagsChanged]:
        """Return what is durable."""
        found = [decode(entry.kind, entry.payload) for entry in self.journal.read(0)]
        return [record for record in found if isinstance(record, FlagsChanged)]

    def positioned(self) -> list[Positioned]:
        return [
            Positioned(instance=self.name, sequence=number, record=record)
            for number, record in enumerate(self.records(), start=1)
        ]


async def project(database: str, records: list[Positioned]) -> None:
    """Apply records as the projector's process does."""
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await FlagsProjector().apply(connection, records)
    finally:
        await connection.close()


async def table(database: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()
