"""The room in one object: begin and end turns, read, write."""

from collections.abc import Mapping, Sequence
from typing import Literal

from axon.base import TaskOwner
from axon.conversations.chat_completions import ChatCompletions
from axon.conversations.epoch import Epoch
from axon.conversations.errors import ConversationBusy, HistoryUnavailable
from axon.conversations.feed import CatchingUp, Feed, FeedPage
from axon.conversations.finding import Finding
from axon.conversations.following import Followed, Following, FollowingParts
from axon.conversations.forking import Copying
from axon.conversations.history import WindowTurn
from axon.conversations.hub import Hub
from axon.conversations.keys import IdempotencyKeys, RequestKey
from axon.conversations.leasing import Leasing
from axon.conversations.listing import ConversationPage, Listing, Wanted
from axon.conversations.loading import LOAD_TIMEOUT_S, Loader
from axon.conversations.loads import Loads
from axon.conversations.opened import OpenedWindows
from axon.conversations.opening import Opener
from axon.conversations.parts import DEFAULT_OPTIONS, ConversationsOptions, ConversationsParts
from axon.conversations.placed import conversation_of
from axon.conversations.placing import Placing, PlacingParts
from axon.conversations.reading import Reading, refuse_nonsense
from axon.conversations.recording import WritingParts
from axon.conversations.referring import Referring
from axon.conversations.replaying import Replay
from axon.conversations.resealing import Resealing
from axon.conversations.searching import Searching, SearchPage
from axon.conversations.tail import Tail
from axon.conversations.taking import Sources
from axon.conversations.turn_events import TurnEvents
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
    UnplacedTurn,
    Update,
)
from axon.conversations.window_cache import WindowCache
from axon.conversations.writing import Writing
from axon.journal import read_cursor
from axon.records import Record
from axon.telemetry import log


class Conversations:
    """Conversations of one process; for its event loop.

    Errors of all calls: ConversationNotFound (also for another organization's or person's id),
    HistoryUnavailable (503: nothing can be proven now), SealBroken (stored content is damaged).
    """

    def __init__(
        self,
        parts: ConversationsParts,
        options: ConversationsOptions = DEFAULT_OPTIONS,
    ) -> None:
        """Load the functions into `valkey` and open the epoch's file; then `open`."""
        self._parts = parts
        self.tail = Tail(parts.journal)
        """What PostgreSQL does not have yet: note every durable record of a turn in it."""
        self.hub = Hub()
        """What happens to conversations, at once; fed by the tail, so nobody else need tell it."""
        self.tail.on_note = self._noted
        self._tasks = TaskOwner(_task_failed)
        self._epoch = Epoch(parts.epoch_path, parts.randomness)
        opener = Opener(parts.keys, parts.postgres)
        loads = Loads(available=lambda: parts.postgres.available)
        self._loader = loader = Loader(parts.postgres, self.tail, opener, parts.instance, loads)
        self._leasing = Leasing(self._sources(options, opener, loads), parts.mint)
        self._reading = Reading(parts.postgres, loader, opener, loads)
        self._listing = Listing(parts.postgres, self.tail, self._reading)
        catching_up = CatchingUp(self.tail, self._projected, parts.clock)
        self._feed = Feed(parts.postgres, self._reading, opener, catching_up)
        self._searching = Searching(parts.postgres, self._reading, opener, catching_up)
        self._following = Following(
            FollowingParts(
                hub=self.hub,
                tail=self.tail,
                loader=loader,
                reading=self._reading,
                opener=opener,
                replay=Replay(parts.postgres),
            )
        )
        self._finding = Finding(parts.postgres, self.tail, opener, parts.mint, options.places_max)
        self._copying = Copying(parts.postgres, loader, self._reading, opener)
        writing = self._writing_parts()
        self._writing = Writing(writing, options.change_wait_s)
        self._placing = Placing(self._placing_parts(writing, opener))
        self._wait_s = options.change_wait_s
        self.chat_completions = ChatCompletions(parts, self.tail, opener, self._tasks)
        """Turns outside any conversation that their client asked to store."""
        self.referring = Referring(parts.postgres, self.tail, opener, parts.clock)
        """Items by their ids alone."""
        self.turn_events = TurnEvents(parts.postgres, self.tail, opener)
        """What the followers of ended turns were shown."""
        self.keys = IdempotencyKeys(parts.postgres, self._projected, options.keys_max)
        """What requests with an Idempotency-Key have made."""

    def _noted(self, record: Record) -> None:
        """Tell those who look at conversations, and let no read from before be shared."""
        self.hub.note(record)
        if self._loader.shared.running:
            self._loader.shared.forget(conversation_of(record))

    def _projected(self) -> int:
        return read_cursor(self._parts.journal.directory)

    def _sources(self, options: ConversationsOptions, opener: Opener, loads: Loads) -> Sources:
        parts = self._parts
        return Sources(
            cache=WindowCache(parts.valkey, self._epoch, parts.instance),
            epoch=self._epoch,
            opened=OpenedWindows(options.opened_bytes_max),
            opener=opener,
            loader=self._loader,
            loads=loads,
            tail=self.tail,
            postgres=parts.postgres,
            clock=parts.clock,
            tasks=self._tasks,
            instance=parts.instance,
        )

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

    def _placing_parts(self, writing: WritingParts, opener: Opener) -> PlacingParts:
        parts = self._parts
        return PlacingParts(
            writing=writing,
            finding=self._finding,
            resealing=Resealing(opener, parts.keys, parts.mint, parts.randomness),
            postgres=parts.postgres,
        )

    async def open(self) -> None:
        """Begin the background work.

        Before it, note every record of the journal that PostgreSQL may not have in the tail.
        """
        if self._parts.valkey.available:
            await self._epoch.adopt(self._parts.valkey.generation)
        self._tasks.start(self._leasing.keep_renewing(), "renew leases")
        self._tasks.start(self._placing.keep_placing(), "place turns")

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

    async def begin_without_history(
        self, owner: Owner, conversation_id: str, wait_s: float, follows: str = ""
    ) -> Begun:
        """Return a turn of a conversation whose history cannot be had now; see HistoryAway.

        It needs no store, knows only the turns before it of the same kind, and gets its place
        behind what was there once that can be told: nothing is asked of the caller for it.
        Whether the conversation exists is told then too; of one that does not, the turn stays as
        a response. `follows` is the response it continues, if any. Raises as `begin` does.
        """
        self._leasing.refuse_stranger(owner, conversation_id)
        turn = UnplacedTurn(owner=owner, conversation_id=conversation_id, follows=follows)
        return await self._placing.begin(turn, wait_s)

    async def begin_behind(self, owner: Owner, turn_id: str, wait_s: float) -> Begun:
        """Return the same for a turn that continues a response which cannot be located now.

        Raises TurnNotFound when it is another person's.
        """
        name = self._finding.unplaced_in(owner, turn_id)
        name = name or self._parts.mint.mint("conv", owner.org_id, owner.user, beside=turn_id)
        return await self.begin_without_history(owner, name, wait_s, turn_id)

    @property
    def unplaced_from(self) -> int | None:
        """Return the journal's sequence from which on turns are without a place, None when none is.

        The journal is to be kept, and read at a start, from there on.
        """
        return self.tail.unplaced.oldest

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
        if owned and begun.sequence:
            self._finding.remember(turn.turn_id)

    async def abort(self, begun: Begun) -> None:
        """End a turn of which no record with a place was made durable.

        The next turn gets the same place. Who journals an end of this one after all, as the process
        that finds it open does, has to `disbelieve`. Never waits and never fails; a second end does
        nothing.
        """
        await self._leasing.abort(begun)

    async def disbelieve(self, conversation_ids: Sequence[str]) -> None:
        """Return when the next turn of each will look up what stands there.

        For who journals the end of a turn at its place without having begun it: call it before,
        lest nobody does when this process dies, and once the end is in the tail, because of those
        who begin in between. Never fails because a store is away.
        """
        await self._leasing.disbelieve(conversation_ids)

    async def read(self, owner: Owner, conversation_id: str) -> Conversation:
        """Return the conversation as acknowledged, also while PostgreSQL is behind."""
        await self._look_at(owner, conversation_id)
        return await self._reading.read(owner, conversation_id)

    async def _look_at(self, owner: Owner, conversation_id: str) -> None:
        """Return when the person may look at the conversation, and all its turns have places."""
        self._leasing.refuse_stranger(owner, conversation_id)
        if conversation_id not in self.tail.unplaced:
            return
        try:
            await self._placing.settle(conversation_id, LOAD_TIMEOUT_S)
        except ConversationBusy as busy:
            raise HistoryUnavailable("turns of it wait for their places") from busy

    async def _settle(self, conversation_id: str, wait_s: float) -> None:
        if conversation_id:
            await self._placing.settle(conversation_id, wait_s)

    async def list_conversations(self, owner: Owner, wanted: Wanted) -> ConversationPage:
        """Return at most `wanted.limit` of the person's conversations, as acknowledged.

        Chains of responses are not among them. Raises HistoryUnavailable while PostgreSQL is away.
        """
        return await self._listing.page(owner, wanted)

    async def sync(
        self, owner: Owner, cursor: str | None, limit: int, *, from_beginning: bool = False
    ) -> FeedPage:
        """Return what changed in the person's conversations since `cursor`, without one from now.

        `from_beginning`: without a cursor, from the oldest change that is kept (30 days at
        least). Waits up to 2 seconds until PostgreSQL has what this process acknowledged. Raises
        NotACursor, CursorExpired, HistoryUnavailable.
        """
        return await self._feed.read(owner, cursor, limit, from_beginning=from_beginning)

    async def search(
        self, owner: Owner, words: str, limit: int, after: str | None = None
    ) -> SearchPage:
        """Return where the person's conversations say `words`, in any case, titles included.

        Ends at a bound, then the page is not complete; go on behind its cursor. Raises
        NotACursor, SearchBusy, HistoryUnavailable.
        """
        return await self._searching.search(owner, words, limit, after)

    async def follow(
        self, owner: Owner, conversation_id: str, last_event_id: str | None
    ) -> Followed:
        """Return the conversation followed from behind that event on, or from now on.

        Each change is told once, after it is durable. Raises NotACursor for what is no event id,
        CursorExpired for one too long ago, TooManySubscribers.
        """
        await self._look_at(owner, conversation_id)
        return await self._following.follow(owner, conversation_id, last_event_id)

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
        await self._look_at(owner, conversation_id)
        if after is not None:
            refuse_nonsense(after)
        page = Page(after=after, limit=limit, order=order)
        return await self._reading.list_items(owner, conversation_id, page)

    async def read_item(self, owner: Owner, conversation_id: str, item_id: str) -> StoredItem:
        """Return the item; raises ItemNotFound, also when its key was erased."""
        await self._look_at(owner, conversation_id)
        refuse_nonsense(item_id)
        return await self._reading.read_item(owner, conversation_id, item_id)

    async def locate_turn(self, owner: Owner, turn_id: str) -> TurnPlace:
        """Return where the person's turn stands, running or ended, so that it can be continued.

        Costs no SQL for recent turns of this process. Raises TurnNotFound, also for a turn that
        is not stored (any more) or that is outside any conversation. One that has no place yet
        gets it now; raises ConversationBusy when a turn that runs keeps it from that for long.
        """
        await self._settle(self._finding.unplaced_in(owner, turn_id), self._wait_s)
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
        key: RequestKey | None = None,
    ) -> Conversation:
        """Return a new conversation with these items, durable; raises JournalFull, DiskLow.

        With a `key` that an earlier request had, the conversation which that one made; raises
        KeyReused and KeysFull.

        Like every change it is made even if the caller is cancelled once it was journaled; all
        raise LeaseLost when it may not stand, ConversationBusy, and what the journal raises.
        """
        if key is None:
            return await self._writing.create(owner, credential_id, metadata, items, None)
        claim = await self.keys.claim(key)
        if isinstance(claim, str):
            return await self.read(owner, claim)
        try:
            made = await self._writing.create(owner, credential_id, metadata, items, key)
            claim.settle(made.conversation_id, self._parts.journal.durable_through)
        finally:
            claim.release()
        return made

    async def fork(
        self,
        owner: Owner,
        credential_id: str,
        conversation_id: str,
        item_id: str | None,
        metadata: Mapping[str, str] | None = None,
    ) -> Conversation:
        """Return a new conversation with a copy of all items up to `item_id`, durable.

        Without `item_id` of all of them; the title is copied, and the metadata unless given.
        Raises ItemNotFound, ForkTooLarge, ForkCutsCall.
        """
        await self._look_at(owner, conversation_id)
        if item_id is not None:
            refuse_nonsense(item_id)
        copy = await self._copying.copy(owner, conversation_id, item_id)
        return await self._writing.fork(owner, credential_id, copy, metadata)

    async def branch(
        self, owner: Owner, credential_id: str, conversation_id: str, item_id: str
    ) -> Conversation:
        """Return a new conversation with a copy of all items before `item_id`, as `fork` does."""
        await self._look_at(owner, conversation_id)
        refuse_nonsense(item_id)
        copy = await self._copying.copy(owner, conversation_id, item_id, before=True)
        return await self._writing.fork(owner, credential_id, copy, None)

    async def append_items(
        self,
        owner: Owner,
        credential_id: str,
        conversation_id: str,
        items: Sequence[NewItem],
        key: RequestKey | None = None,
    ) -> tuple[StoredItem, ...]:
        """Return the items as they were added to the end of the conversation, durable.

        With a `key` that an earlier request had, the items which that one added; raises KeyReused
        and KeysFull, and ItemNotFound when one of them was deleted.
        """
        place = (owner, credential_id, conversation_id)
        if key is None:
            return await self._writing.append_items(*place, items, None)
        claim = await self.keys.claim(key)
        if isinstance(claim, str):
            reads = [self.read_item(owner, conversation_id, name) for name in claim.split(",")]
            return tuple([await read for read in reads])
        try:
            added = await self._writing.append_items(*place, items, key)
            names = ",".join(item.item_id for item in added)
            claim.settle(names, self._parts.journal.durable_through)
        finally:
            claim.release()
        return added

    async def update(
        self, owner: Owner, credential_id: str, conversation_id: str, update: Update
    ) -> Conversation:
        """Return the conversation with the named members replaced, all at once and durable.

        Raises ValueError for an update that names none.
        """
        return await self._writing.update(owner, credential_id, conversation_id, update)

    async def update_metadata(
        self, owner: Owner, credential_id: str, conversation_id: str, metadata: Mapping[str, str]
    ) -> Conversation:
        """Return the conversation with its metadata replaced, durable."""
        return await self.update(owner, credential_id, conversation_id, Update(metadata=metadata))

    async def set_title(
        self, owner: Owner, credential_id: str, conversation_id: str, title: str | None
    ) -> Conversation:
        """Return the conversation with its title replaced, or taken away, durable."""
        return await self.update(owner, credential_id, conversation_id, Update(title=title))

    async def delete_item(
        self, owner: Owner, credential_id: str, conversation_id: str, item_id: str
    ) -> Conversation:
        """Return the conversation without the item, durable; raises ItemNotFound.

        The events of the turn that brought it are forgotten with it.
        """
        await self._look_at(owner, conversation_id)
        refuse_nonsense(item_id)
        return await self._writing.delete_item(owner, credential_id, conversation_id, item_id)

    async def delete(
        self, owner: Owner, credential_id: str, conversation_id: str, *, with_items: bool = False
    ) -> None:
        """Delete the conversation, durable; its items stay with the responses that made them.

        `with_items`: they go too, with the turns and their answers, from Valkey at once and from
        PostgreSQL once it is projected; the journal forgets them after its retention.
        """
        await self._writing.delete(owner, credential_id, conversation_id, with_items=with_items)

    async def forget_turn(self, owner: Owner, credential_id: str, turn_id: str) -> None:
        """Make the turn one that is not stored, durable; its items stay in the conversation."""
        await self._settle(self._finding.unplaced_in(owner, turn_id), self._wait_s)
        place = await self._finding.place(owner, turn_id)
        try:
            await self._writing.forget_turn(owner, credential_id, place, turn_id)
        finally:
            self._finding.forget(turn_id)


def _task_failed(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
