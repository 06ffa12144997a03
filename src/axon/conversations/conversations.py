"""The room in one object: begin and end turns, read, write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from axon.base import Clock, IdMint, Randomness, TaskOwner
from axon.conversations.epoch import Epoch
from axon.conversations.finding import Finding
from axon.conversations.history import WindowTurn
from axon.conversations.leasing import Leasing
from axon.conversations.loading import Loader
from axon.conversations.opened import OPENED_BYTES_MAX, OpenedWindows
from axon.conversations.opening import Opener
from axon.conversations.reading import Reading, refuse_nonsense
from axon.conversations.tail import Tail
from axon.conversations.taking import Sources
from axon.conversations.values import (
    Begun,
    Conversation,
    ItemPage,
    NewItem,
    Owner,
    Page,
    StoredItem,
    StoredTurn,
    TurnPlace,
)
from axon.conversations.window_cache import WindowCache
from axon.conversations.writing import Writing, WritingParts
from axon.journal import Journal
from axon.sealing import KeyStore
from axon.stores import Postgres, Valkey
from axon.telemetry import log


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationsParts:
    """What the room stands on; made by `app`."""

    postgres: Postgres
    valkey: Valkey
    """Best not started yet, so that no reconnection is missed."""
    journal: Journal
    keys: KeyStore
    mint: IdMint
    clock: Clock
    randomness: Randomness
    instance: str
    """The journal's instance: who holds the journal's lock may take over its own leases."""
    epoch_path: Path
    """A small file that all processes of this node share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationsOptions:
    """The bounds an operator may choose."""

    change_wait_s: float = 10.0
    """How long a change without a turn waits for the turns before it; then 409."""
    opened_bytes_max: int = OPENED_BYTES_MAX


class Conversations:
    """Conversations of one process; for its event loop.

    Errors of all calls: ConversationNotFound (also for another organization's or person's id),
    HistoryUnavailable (503: nothing can be proven now), SealBroken (stored content is damaged).
    """

    def __init__(
        self,
        parts: ConversationsParts,
        options: ConversationsOptions = ConversationsOptions(),
    ) -> None:
        """Load the functions into `valkey` and open the epoch's file; then `open`."""
        self._parts = parts
        self.tail = Tail(parts.journal)
        """What PostgreSQL does not have yet: note every durable record of a turn in it."""
        self._tasks = TaskOwner(_task_failed)
        self._epoch = Epoch(parts.epoch_path, parts.randomness)
        opener = Opener(parts.keys, parts.postgres)
        loader = Loader(parts.postgres, self.tail, opener, parts.instance)
        sources = Sources(
            cache=WindowCache(parts.valkey, self._epoch, parts.instance),
            epoch=self._epoch,
            opened=OpenedWindows(options.opened_bytes_max),
            opener=opener,
            loader=loader,
            tail=self.tail,
            postgres=parts.postgres,
            clock=parts.clock,
            tasks=self._tasks,
            instance=parts.instance,
        )
        self._leasing = Leasing(sources, parts.mint)
        self._reading = Reading(parts.postgres, loader, opener)
        self._finding = Finding(parts.postgres, self.tail, opener, parts.mint)
        self._writing = Writing(self._writing_parts(), options.change_wait_s)

    def _writing_parts(self) -> WritingParts:
        parts = self._parts
        return WritingParts(
            leasing=self._leasing,
            reading=self._reading,
            tail=self.tail,
            journal=parts.journal,
            keys=parts.keys,
            mint=parts.mint,
            clock=parts.clock,
            randomness=parts.randomness,
            tasks=self._tasks,
        )

    async def open(self) -> None:
        """Begin the background work.

        Before it, note every record of the journal that PostgreSQL may not have in the tail.
        """
        if self._parts.valkey.available:
            await self._epoch.adopt(self._parts.valkey.generation)
        self._tasks.start(self._leasing.keep_renewing(), "renew leases")

    async def stop(self) -> None:
        """End the background work; leases that are still held run out."""
        await self._tasks.cancel()
        self._epoch.close()

    async def begin(self, owner: Owner, conversation_id: str, wait_s: float) -> Begun:
        """Return a turn of the conversation, once all turns before it have ended.

        One call to Valkey when it has the window; PostgreSQL and the tail otherwise. Cancelling
        leaves nothing behind. Raises ConversationBusy when that takes longer than `wait_s` seconds
        or too many wait, TailFull.
        """
        return await self._leasing.begin(owner, conversation_id, wait_s)

    def start(self, owner: Owner, conversation_id: str) -> Begun:
        """Return the first turn of a conversation that nobody else can know: its id is new.

        Or one that a crash kept from being made. Costs no call; raises TailFull.
        """
        return self._leasing.start(owner, conversation_id)

    def still_owned(self, begun: Begun) -> bool:
        """Return whether nobody can have taken the conversation over yet.

        Ask after the fsync and before acknowledging: a record whose lease has run out may be
        replaced by another. The lease of a running turn is renewed in the background.
        """
        return self._leasing.still_owned(begun)

    async def commit(self, begun: Begun, turn: WindowTurn) -> None:
        """End a turn whose record is durable and noted in the tail, also one no longer owned.

        Never waits for Valkey and never fails because a store is away: a cache that did not hear
        of the turn is not believed again. A second end of the same turn does nothing.
        """
        owned = self._leasing.still_owned(begun)
        await self._leasing.commit(begun, turn)
        if owned:
            self._finding.remember(turn.turn_id)

    async def abort(self, begun: Begun) -> None:
        """End a turn of which no record with a place was, or can still be, made durable.

        The next turn gets the same place. Never waits and never fails; a second end does nothing.
        """
        await self._leasing.abort(begun)

    async def read(self, owner: Owner, conversation_id: str) -> Conversation:
        """Return the conversation as acknowledged, also while PostgreSQL is behind."""
        self._leasing.refuse_stranger(owner, conversation_id)
        return await self._reading.read(owner, conversation_id)

    async def list_items(
        self,
        owner: Owner,
        conversation_id: str,
        *,
        after: str | None,
        limit: int,
        order: Literal["asc", "desc"],
    ) -> ItemPage:
        """Return at most `limit` items behind the item `after`, or from the first in `order`.

        Raises ItemNotFound when `after` is no item of this conversation.
        """
        self._leasing.refuse_stranger(owner, conversation_id)
        if after is not None:
            refuse_nonsense(after)
        page = Page(after=after, limit=limit, order=order)
        return await self._reading.list_items(owner, conversation_id, page)

    async def read_item(self, owner: Owner, conversation_id: str, item_id: str) -> StoredItem:
        """Return the item; raises ItemNotFound, also when its key was erased."""
        self._leasing.refuse_stranger(owner, conversation_id)
        refuse_nonsense(item_id)
        return await self._reading.read_item(owner, conversation_id, item_id)

    async def locate_turn(self, owner: Owner, turn_id: str) -> TurnPlace:
        """Return where the person's turn stands, running or ended, so that it can be continued.

        Costs no SQL for recent turns of this process. Raises TurnNotFound, also for a turn that
        is not stored (any more) or that is outside any conversation.
        """
        return await self._finding.locate(owner, turn_id)

    async def find_turn(self, org_id: str, turn_id: str) -> StoredTurn:
        """Return the turn opened, also one that runs or is not `stored` (any more).

        Raises TurnNotFound.
        """
        return await self._finding.find(org_id, turn_id)

    async def create(
        self,
        owner: Owner,
        credential_id: str,
        metadata: Mapping[str, str],
        items: Sequence[NewItem],
    ) -> Conversation:
        """Return a new conversation with these items, durable; raises JournalFull, DiskLow.

        Like every change it is made even if the caller is cancelled once it was journaled; all
        raise LeaseLost when it may not stand, ConversationBusy, and what the journal raises.
        """
        return await self._writing.create(owner, credential_id, metadata, items)

    async def append_items(
        self, owner: Owner, credential_id: str, conversation_id: str, items: Sequence[NewItem]
    ) -> tuple[StoredItem, ...]:
        """Return the items as they were added to the end of the conversation, durable."""
        return await self._writing.append_items(owner, credential_id, conversation_id, items)

    async def update_metadata(
        self, owner: Owner, credential_id: str, conversation_id: str, metadata: Mapping[str, str]
    ) -> Conversation:
        """Return the conversation with its metadata replaced, durable."""
        return await self._writing.update_metadata(owner, credential_id, conversation_id, metadata)

    async def delete_item(
        self, owner: Owner, credential_id: str, conversation_id: str, item_id: str
    ) -> Conversation:
        """Return the conversation without the item, durable; raises ItemNotFound."""
        refuse_nonsense(item_id)
        return await self._writing.delete_item(owner, credential_id, conversation_id, item_id)

    async def delete(self, owner: Owner, credential_id: str, conversation_id: str) -> None:
        """Delete the conversation with its items and its turns' answers, durable."""
        await self._writing.delete(owner, credential_id, conversation_id)

    async def forget_turn(self, owner: Owner, credential_id: str, turn_id: str) -> None:
        """Make the turn one that is not stored, durable; its items stay in the conversation."""
        place = await self._finding.place(owner, turn_id)
        try:
            await self._writing.forget_turn(owner, credential_id, place, turn_id)
        finally:
            self._finding.forget(turn_id)


def _task_failed(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
