"""START HERE: forgetting a person. Their keys are destroyed, and nothing they said can be read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import msgspec

from axon.audit import Audit, Auditor, Signer, exclude_erasing, refuse_held
from axon.base import MICROS_PER_SECOND, Clock, IdMint, until_done
from axon.conversations import Conversations, Owner
from axon.journal import Journal, read_cursor
from axon.records import SubjectErased, encode
from axon.sealing import KeyStore, count_keys, read_erasures
from axon.stores import Postgres, PostgresAway
from axon.subjects.errors import SubjectsUnavailable
from axon.subjects.purging import KEPT, Person, purge
from axon.subjects.store import (
    insert_receipt,
    list_conversations,
    list_receipts,
    note_purged,
    unpurged,
)
from axon.telemetry import counter, log

QUERY_TIMEOUT_S = 30.0
"""A person of many years has many rows."""

PROJECTED_WITHIN_S = 10.0
"""How long is waited until PostgreSQL has what was on its way; the scheduler looks again."""

AGAIN_FOR_US = 3600 * MICROS_PER_SECOND
"""How long after an erasure rows are looked for again that came late, from another node."""

CHANGE_PREFIX = "chg"
RECEIPT_PREFIX = "erc"

_LOOK_S = 0.02

_erased = counter("axon_subjects_erased_total", "People who were forgotten.")


class StoreReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one store."""

    store: str
    count: int
    outcome: str
    """deleted, unreadable or kept."""
    note: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """That a person was forgotten: signed, and the same bytes for ever."""

    id: str
    object: str
    org_id: str
    user: int
    reason: str
    erased_at_us: int
    took_ms: int
    keys: int
    """Data keys that were destroyed."""
    stores: list[StoreReceipt]
    key_backups_end_us: int
    """Until then a backup of the keys may hold them; none that is restored brings them back."""
    journals_end_us: int
    """Until then journals hold metadata that was never sealed, as turns' labels."""


class SignedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt as it was signed."""

    document: str
    signature: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasingParts:
    """What forgetting works with; opened and closed by their owner."""

    postgres: Postgres
    journal: Journal
    journal_retention_s: int
    key_backups_live_us: int
    """How long a backup of keys can be restored."""
    keys: KeyStore
    conversations: Conversations
    audit: Audit
    signer: Signer
    mint: IdMint
    clock: Clock


class Erasing:
    """One for each serving process."""

    def __init__(self, parts: ErasingParts) -> None:
        """Nothing is forgotten yet."""
        self._parts = parts

    async def erase(self, officer: Auditor, owner: Owner, name: str = "") -> SignedReceipt:
        """Forget a person; on return nothing of theirs can be read here, or from any backup.

        Other nodes follow within seconds. `name` is what the organization calls them. Raises
        LegalHold, SubjectsUnavailable while PostgreSQL is away, JournalError, KeyStoreFailed; it
        may be repeated.
        """
        parts = self._parts
        parts.journal.admit()
        began_s, now_us = parts.clock.monotonic(), parts.clock.now_us()
        async with self._connected() as connection:
            windows = await list_conversations(connection, owner.user)
        keys, counts, erased_us = await self._destroy(owner, name)
        sequence = await self._journaled(officer, owner, erased_us)
        await parts.audit.log(officer, "erased", owner.user, [])
        await parts.conversations.disbelieve(windows)
        await self._until_projected(sequence)
        stores = [
            StoreReceipt(store=store, count=count, outcome="deleted")
            for store, count in counts.items()
        ]
        turns = counts["audit.turns: requests and content"]
        cold = counts["conversations.cold: conversations in the archive"]
        receipt = Receipt(
            id=parts.mint.mint(RECEIPT_PREFIX, owner.org_id, owner.user),
            object="erasure.receipt",
            org_id=owner.org_id,
            user=owner.user,
            reason=officer.reason,
            erased_at_us=erased_us,
            took_ms=int((parts.clock.monotonic() - began_s) * 1000),
            keys=keys,
            stores=[*stores, *_unreadable(len(windows), turns, cold), *_kept()],
            key_backups_end_us=now_us + parts.key_backups_live_us,
            journals_end_us=now_us + parts.journal_retention_s * MICROS_PER_SECOND,
        )
        _erased.inc()
        log.info(
            "subjects.erased",
            "A person was forgotten.",
            axon__receipt=receipt.id,
            axon__keys=keys,
            event__duration=receipt.took_ms * 1_000_000,
        )
        return await self._signed(receipt)

    async def receipts(self, org_id: str) -> list[SignedReceipt]:
        """Return the newest receipts; raises SubjectsUnavailable."""
        async with self._connected() as connection:
            rows = await list_receipts(connection, org_id)
        return [
            SignedReceipt(
                document=document, signature=signature, public_key=self._parts.signer.public_key
            )
            for document, signature in rows
        ]

    async def _destroy(self, owner: Owner, name: str) -> tuple[int, dict[str, int], int]:
        """Destroy the keys and take the rows away; return how many, and when.

        The tombstone is in PostgreSQL with the same commit: every node follows it.
        """
        parts = self._parts
        async with self._connected() as connection, connection.transaction():
            await exclude_erasing(connection, owner.user)
            await refuse_held(connection, owner.org_id, owner.user)
            there = await count_keys(connection, owner.org_id, owner.user)
            here = await parts.keys.erase(owner.org_id, owner.user)
            await parts.keys.upload(connection)
            erased_us = await parts.keys.erased_us(owner.org_id, owner.user)
            person = Person(owner.org_id, owner.user, name, erased_us)
            counts = await purge(connection, person)
            await note_purged(connection, [person], parts.clock.now_us())
        return max(here, there), counts, erased_us

    async def _journaled(self, officer: Auditor, owner: Owner, erased_us: int) -> int:
        """Return where in the journal it stands that the person was forgotten."""
        parts = self._parts
        record = SubjectErased(
            change_id=parts.mint.mint(CHANGE_PREFIX, owner.org_id, owner.user),
            org_id=owner.org_id,
            user=owner.user,
            credential_id=officer.credential_id,
            at_us=erased_us,
            reason=officer.reason,
        )
        location = await until_done(parts.journal.append(*encode(record)))
        return location.sequence

    async def _until_projected(self, sequence: int) -> None:
        """Wait until what was on its way is in PostgreSQL, and gone from there."""
        try:
            async with asyncio.timeout(PROJECTED_WITHIN_S):
                while read_cursor(self._parts.journal.directory) < sequence:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return  # the projector takes the rows away when it comes to the record

    async def _signed(self, receipt: Receipt) -> SignedReceipt:
        document = msgspec.json.encode(receipt)
        signature = self._parts.signer.sign(document)
        async with self._connected() as connection:
            await insert_receipt(
                connection, receipt.id, (receipt.org_id, receipt.user, receipt.erased_at_us),
                document.decode(), signature,
            )  # fmt: skip
        return SignedReceipt(
            document=document.decode(),
            signature=signature,
            public_key=self._parts.signer.public_key,
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                yield connection
        except PostgresAway as error:
            raise SubjectsUnavailable(error.detail) from error
        except asyncpg.TransactionRollbackError as error:
            raise SubjectsUnavailable("somebody else changed the same rows") from error


class PurgeAgain:
    """Takes rows away that came after their erasure: late from a node, or out of a backup."""

    def __init__(self, postgres: Postgres, clock: Clock) -> None:
        """For the scheduler."""
        self._postgres = postgres
        self._clock = clock

    async def look(self) -> None:
        """Purge everybody whose rows are not known to be gone; raises PostgresAway."""
        now_us = self._clock.now_us()
        async with self._postgres.connection(QUERY_TIMEOUT_S) as connection:
            erasures = await read_erasures(connection, 0)
            people = [Person(one.org_id, one.user, "", one.erased_us) for one in erasures]
            due = await unpurged(connection, people, now_us - AGAIN_FOR_US)
        for person in due:
            async with (
                self._postgres.connection(QUERY_TIMEOUT_S) as connection,
                connection.transaction(),
            ):
                counts = await purge(connection, person)
                await note_purged(connection, [person], now_us)
            if sum(counts.values()):
                log.info(
                    "subjects.purged",
                    "Rows of a forgotten person had come, and are gone again.",
                    axon__rows=sum(counts.values()),
                )


def _unreadable(windows: int, turns: int, cold: int) -> Sequence[StoreReceipt]:
    sealed = "sealed under the destroyed keys"
    swept = f"{sealed}; the objects go as long after as backups are kept"
    return [
        StoreReceipt(store="Valkey: windows", count=windows, outcome="unreadable", note=sealed),
        StoreReceipt(store="journals: turns", count=turns, outcome="unreadable", note=sealed),
        StoreReceipt(store="object store: frames", count=cold, outcome="unreadable", note=swept),
        StoreReceipt(store="content backups", count=turns, outcome="unreadable", note=sealed),
    ]


def _kept() -> Sequence[StoreReceipt]:
    return [
        StoreReceipt(store=store, count=0, outcome="kept", note=what)
        for store, what in KEPT.items()
    ]
