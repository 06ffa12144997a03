"""An installation without processes: a journal, a database, keys, and what the API would read."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncpg
import msgspec

from axon.app.backup import (
    Allowed,
    Place,
    Restored,
    Verified,
    make_backup,
    replay_journals,
    restore_content,
    verify_backup,
)
from axon.app.backup.verifying import Progress
from axon.app.folders import DataFolder
from axon.app.settings import DatabaseSettings, Settings
from axon.base import SystemClock, SystemRandomness
from axon.journal import Journal, JournalEnvironment, JournalOptions, SystemDisk
from axon.records import ItemsAppended, Record, SealedItem, encode
from axon.sealing import Keyring, KeyStore

INSTANCE = "0123456789ab-serving"
SEGMENT_BYTES = 4096
"""So small that a few records fill one."""

NOTHING_ALLOWED = Allowed(replace=False, accept_loss=False)


def quiet(what: str, done: int, total: int) -> None:
    """Tell nobody how far it is."""


def appended(conversation: str, sequence: int, user: int = 1) -> ItemsAppended:
    """Return the record that puts one item, about 200 bytes, at a place of a conversation."""
    item = SealedItem(f"msg_{conversation}_{sequence}", "message", "user", 1, b"x" * 200)
    return ItemsAppended(
        change_id=f"chg_{conversation}_{sequence}",
        org_id="org_1",
        user=user,
        credential_id="key_1",
        conversation_id=conversation,
        sequence=sequence,
        fence=sequence,
        at_us=1_760_000_000_000_000 + sequence,
        items=[item],
    )


def records(first: int, last: int, conversation: str = "conv_a") -> list[Record]:
    return [appended(conversation, number) for number in range(first, last + 1)]


def places(first: int, last: int, conversation: str = "conv_a") -> list[tuple[object, ...]]:
    return [(conversation, number) for number in range(first, last + 1)]


class FarClock(SystemClock):
    """The machine's clock, days ahead."""

    def __init__(self, days: float) -> None:
        self.days = days

    def now_us(self) -> int:
        return super().now_us() + int(self.days * 86_400_000_000)


@dataclass
class Scene:
    """What is backed up and restored."""

    place: Place
    out: Path
    told: list[str] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path, database: str) -> "Scene":
        root = folder / "data"
        root.mkdir(mode=0o700)
        data = DataFolder(root)
        Keyring.open(data.keyring, SystemRandomness())
        place = Place(
            settings=Settings(data=str(root), database=DatabaseSettings(url=database)),
            folder=data,
            database_url=database,
            clock=SystemClock(),
            randomness=SystemRandomness(),
        )
        return cls(place, folder)

    def at_database(self, database: str) -> "Scene":
        """Return the same installation in front of another database."""
        settings = msgspec.structs.replace(
            self.place.settings, database=DatabaseSettings(url=database)
        )
        return Scene(replace(self.place, settings=settings, database_url=database), self.out)

    @property
    def journal(self) -> Path:
        return self.place.folder.journals / INSTANCE

    async def write(self, records: Sequence[Record]) -> None:
        """Append the records to the journal, one after the other, and close it again."""
        journal = self._open()
        for record in records:
            await journal.append(*encode(record))
        await journal.close()

    async def retire(self, projected_through: int) -> list[Path]:
        """Delete what is projected from the journal, as a day later would."""
        journal = self._open()
        try:
            return journal.retire(projected_through)
        finally:
            await journal.close()

    def _open(self) -> Journal:
        options = JournalOptions(
            segment_bytes=SEGMENT_BYTES,
            entry_bytes_max=2048,
            queue_bytes_max=8192,
            reserve_bytes=0,
            low_water_bytes=0,
            retention_s=0,
        )
        environment = JournalEnvironment(disk=SystemDisk(), clock=SystemClock(), on_fatal=print)
        return Journal.open(self.journal, INSTANCE, options, environment)

    async def project(self) -> int:
        """Bring the journal into the database; return how many records are parked."""
        return (await replay_journals(self.place, quiet)).parked

    async def back_up(self, name: str = "one", kind: str = "content") -> Path:
        return (await make_backup(self.place, self.out / name, kind, quiet)).path

    async def restore(self, backup: Path, allowed: Allowed = NOTHING_ALLOWED) -> Restored:
        found = await self.verify(backup)
        return await restore_content(self.place, found, allowed, self.note)

    async def verify(self, backup: Path, progress: Progress = quiet) -> Verified:
        return await asyncio.to_thread(verify_backup, backup, progress)

    def note(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        self.told.append(what)

    async def query(self, sql: str, *arguments: object) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(self.place.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def items(self) -> list[tuple[object, ...]]:
        """Return (conversation, sequence) of every item in PostgreSQL, in order."""
        return await self.query(
            "SELECT conversation_id, sequence FROM conversations.items ORDER BY 1, 2"
        )

    async def with_keys(self, work: Callable[[KeyStore], object]) -> None:
        """Do something with the node's data keys."""
        keys = self.place.key_store()
        try:
            await work(keys)  # type: ignore[misc]
        finally:
            await keys.close()
