"""The room in one object: begin, end and find turns; the rest, by what it is for."""

from collections.abc import Sequence

from axon.base import TaskOwner
from axon.conversations.changing import Changing, ChangingParts
from axon.conversations.chat_completions import ChatCompletions
from axon.conversations.cold_items import ColdItems
from axon.conversations.epoch import Epoch
from axon.conversations.feed import CatchingUp, Feed
from axon.conversations.finding import Finding
from axon.conversations.following import Following, FollowingParts
from axon.conversations.forking import Copying
from axon.conversations.history import WindowTurn
from axon.conversations.hub import Hub
from axon.conversations.keys import IdempotencyKeys
from axon.conversations.leasing import Leasing
from axon.conversations.listing import Listing
from axon.conversations.loading import Loader
from axon.conversations.loads import Loads
from axon.conversations.looking import Looking
from axon.conversations.opened import OpenedWindows
from axon.conversations.opening import Opener
from axon.conversations.parts import DEFAULT_OPTIONS, ConversationsOptions, ConversationsParts
from axon.conversations.placed import conversation_of
from axon.conversations.placing import Placing, PlacingParts
from axon.conversations.reading import Reading
from axon.conversations.recording import WritingParts
from axon.conversations.referring import Referring
from axon.conversations.replaying import Replay
from axon.conversations.resealing import Resealing
from axon.conversations.searching import Searching
from axon.conversations.tail import Tail
from axon.conversations.taking import Sources
from axon.conversations.turn_events import TurnEvents
from axon.conversations.values import (
    Begun,
    Owner,
    StoredTurn,
    TurnPlace,
    UnplacedTurn,
)
from axon.conversations.window_cache import WindowCache
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
        loader.thaw = parts.thaw
        self._leasing = Leasing(self._sources(options, opener, loads), parts.mint)
        self._reading = Reading(parts.postgres, loader, opener, loads)
        self.listing = Listing(parts.postgres, self.tail, self._reading)
        """A person's conversations, page by page."""
        catching_up = CatchingUp(self.tail, self._projected, parts.clock)
        self.feed = Feed(parts.postgres, self._reading, opener, catching_up)
        """What changed in a person's conversations since a cursor."""
        self.searching = Searching(parts.postgres, self._reading, opener, catching_up)
        """Where a person's conversations say certain words."""
        self._finding = Finding(parts.postgres, self.tail, opener, parts.mint, options.places_max)
        self._finding.thaw = parts.thaw
        self.keys = IdempotencyKeys(parts.postgres, self._projected, options.keys_max)
        """What requests with an Idempotency-Key have made."""
        writing = self._writing_parts()
        self._placing = Placing(self._placing_parts(writing, opener))
        self.looking = Looking(self._placing, self._reading, self._following(opener))
        """What a person sees of a conversation."""
        self._wait_s = options.change_wait_s
        self.changing = Changing(
            ChangingParts(
                writing=writing,
                placing=self._placing,
                finding=self._finding,
                copying=Copying(parts.postgres, loader, self._reading, opener),
                keys=self.keys,
                wait_s=options.change_wait_s,
            )
        )
        """The changes of conversations that are no turns."""
        self.chat_completions = ChatCompletions(parts, self.tail, opener, self._tasks)
        """Turns outside any conversation that their client asked to store."""
        cold = ColdItems(parts.postgres, parts.mint, parts.thaw)
        self.referring = Referring(parts.postgres, self.tail, opener, parts.clock, cold)
        """Items by their ids alone."""
        self.turn_events = TurnEvents(parts.postgres, self.tail, opener)
        """What the followers of ended turns were shown."""

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

    def _following(self, opener: Opener) -> Following:
        return Following(
            FollowingParts(
                hub=self.hub,
                tail=self.tail,
                loader=self._loader,
                reading=self._reading,
                opener=opener,
                replay=Replay(self._parts.postgres),
            )
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

    async def locate_turn(self, owner: Owner, turn_id: str) -> TurnPlace:
        """Return where the person's turn stands, running or ended, so that it can be continued.

        Costs no SQL for recent turns of this process. Raises TurnNotFound, also for a turn that
        is not stored (any more) or that is outside any conversation. One that has no place yet
        gets it now; raises ConversationBusy when a turn that runs keeps it from that for long.
        """
        await self._placing.settle_turn(owner, turn_id, self._wait_s)
        return await self._finding.locate(owner, turn_id)

    async def find_turn(self, org_id: str, turn_id: str) -> StoredTurn:
        """Return the turn opened, also one that runs or is not `stored` (any more).

        Raises TurnNotFound.
        """
        return await self._finding.find(org_id, turn_id)


def _task_failed(name: str, error: BaseException) -> None:
    log.error("task-failed", f"{name}: {error!r}")
