"""The conversation API against a plain model: whatever order things happen in, both agree.

PostgreSQL lags behind at will, Valkey forgets at will, the process dies at will, turns are taken
without their history at will; a device that
syncs and one that follows a conversation must end up with what the server has.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from axon.conversations import (
    UNCHANGED,
    Conversation,
    ConversationNotFound,
    ConversationsProjector,
    CursorExpired,
    ItemPage,
    Update,
    Wanted,
)
from axon.journal import write_cursor
from axon.projection import Positioned
from axon.records import decode
from tests.conversations.scene import KEY, ORG, Node, Process, message, text_of

EXAMPLES = 45
STEPS = 50
DEVICE_PAGE = 3


@dataclass
class Kept:
    """A conversation as the model has it: its items' texts by their ids, in order."""

    items: dict[str, str] = field(default_factory=dict)
    title: str | None = None
    archived: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    forked_from: tuple[str, str | None] | None = None


@dataclass
class World:
    """The process under test; every example is a person of its own."""

    node: Node
    runner: asyncio.Runner
    process: Process
    connection: asyncpg.Connection
    people: int = 100

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def project(self) -> None:
        """Bring PostgreSQL up to date, as the projector does."""
        process = self.process
        fresh = [
            Positioned(
                instance="a", sequence=entry.sequence, record=decode(entry.kind, entry.payload)
            )
            for entry in process.journal.read(process.projected)
        ]
        if not fresh:
            return
        async with self.connection.transaction():
            await ConversationsProjector().apply(self.connection, fresh)
        process.projected = fresh[-1].sequence  # and no further: the process writes meanwhile
        write_cursor(process.directory, process.projected)
        process.conversations.tail.prune(process.projected)

    async def flush(self) -> None:
        await self.process.valkey.call("FLUSHALL")

    def crash(self) -> None:
        self.run(self.process.close())
        projected = self.process.projected
        self.process = self.run(self.node.process())
        self.process.projected = projected


class Machine(RuleBasedStateMachine):
    """Rules change both sides alike, looks compare them."""

    conversations = Bundle("conversations")
    world: World

    @initialize(target=conversations)
    def begin(self) -> Any:
        self.world.people += 1
        self.user = self.world.people
        self.model: dict[str, Kept] = {}
        self.texts = 0
        self.synced: dict[str, Kept] = {}
        self.cursor: str | None = None
        self.followed: dict[str, tuple[str, list[str]]] = {}
        return multiple(self.create(2, "x"), self.create(0, "y"))

    # -- what happens

    def words(self, count: int) -> list[str]:
        self.texts += count
        return [f"text {number}" for number in range(self.texts - count, self.texts)]

    @property
    def room(self) -> Any:
        return self.world.process.conversations

    @property
    def owner(self) -> Any:
        return self.world.process.owner(self.user)

    @rule(target=conversations, count=st.integers(0, 3), value=st.sampled_from(["x", "y"]))
    def create_another(self, count: int, value: str) -> str:
        return self.create(count, value)

    def create(self, count: int, value: str) -> str:
        texts = self.words(count)
        items = [message("user", text) for text in texts]
        made = self.world.run(self.room.changing.create(self.owner, KEY, {"k": value}, items))
        self.model[made.conversation_id] = Kept(metadata={"k": value})
        self.take_ids(made.conversation_id)
        assert list(self.model[made.conversation_id].items.values()) == texts
        return str(made.conversation_id)

    @rule(name=conversations, count=st.integers(1, 4))
    def append(self, name: str, count: int) -> None:
        items = [message("user", text) for text in self.words(count)]
        added = self.world.run(self.room.changing.append_items(self.owner, KEY, name, items))
        for item in added:
            self.model[name].items[item.item_id] = text_of(item.content)

    @rule(name=conversations)
    def turn(self, name: str) -> None:
        expected = [*self.model[name].items.values(), *self.words(2)]
        asked, answered = expected[-2:]
        self.world.run(self.world.process.say(name, asked, answered, user=self.user))
        self.take_ids(name)
        assert list(self.model[name].items.values()) == expected

    @rule(name=conversations)
    def turn_without_history(self, name: str) -> None:
        """What was said stands behind all that was there before, whoever looks first."""
        asked, answered = self.words(2)
        said = self.world.process.say_alone(name, asked, answered, user=self.user)
        turn_id = self.world.run(said)
        turn = self.world.run(self.room.find_turn(ORG, turn_id))
        for item in (*turn.input, *turn.output):
            self.model[name].items[item.item_id] = text_of(item.content)
        assert list(self.model[name].items.values())[-2:] == [asked, answered]

    @rule(name=conversations)
    def archive_or_take_back(self, name: str) -> None:
        archived = not self.model[name].archived
        self.update(name, Update(archived=archived))

    @rule(
        name=conversations,
        title=st.sampled_from(["a", "", None]) | st.just(UNCHANGED),
        metadata=st.sampled_from([{"k": "z"}, {}]),
    )
    def rename(self, name: str, title: Any, metadata: dict[str, str]) -> None:
        self.update(name, Update(title=title, metadata=metadata))

    def update(self, name: str, update: Update) -> None:
        kept = self.model[name]
        for member in ("title", "archived", "metadata"):
            if getattr(update, member) is not UNCHANGED:
                setattr(kept, member, getattr(update, member))
        changed = self.world.run(self.room.changing.update(self.owner, KEY, name, update))
        self.same(changed, kept)
        self.same(self.world.run(self.room.looking.read(self.owner, name)), kept)

    @rule(name=conversations, place=st.integers(0, 100))
    def delete_item(self, name: str, place: int) -> None:
        items = self.model[name].items
        if items:
            gone = list(items)[place % len(items)]
            self.world.run(self.room.changing.delete_item(self.owner, KEY, name, gone))
            del items[gone]

    @precondition(lambda self: len(self.model) > 1)
    @rule(name=consumes(conversations), with_items=st.booleans())
    def delete(self, name: str, with_items: bool) -> None:
        self.world.run(self.room.changing.delete(self.owner, KEY, name, with_items=with_items))
        del self.model[name]

    @rule(target=conversations, name=conversations, place=st.integers(-1, 100))
    def fork(self, name: str, place: int) -> Any:
        kept = self.model[name]
        ids = list(kept.items)
        if place >= 0 and not ids:
            return multiple()
        end = ids[place % len(ids)] if place >= 0 else None
        made = self.world.run(self.room.changing.fork(self.owner, KEY, name, end))
        last = end or (ids[-1] if ids else None)
        copied = Kept(title=kept.title, metadata=kept.metadata, forked_from=(name, last))
        self.model[made.conversation_id] = copied
        self.same(made, copied)
        self.take_ids(made.conversation_id)
        expected = [kept.items[one] for one in ids[: ids.index(end) + 1 if end else None]]
        assert list(copied.items.values()) == expected
        return made.conversation_id

    # -- what happens to the stores

    @rule()
    def project(self) -> None:
        self.world.run(self.world.project())

    @rule(crash=st.booleans())
    def forget(self, crash: bool) -> None:
        """Valkey loses everything, or the process what it has in memory."""
        if crash:
            self.world.crash()
        else:
            self.world.run(self.world.flush())

    # -- what is seen

    def take_ids(self, name: str) -> None:
        """Learn the ids the server gave to a conversation's items."""
        self.model[name].items = dict(self.items(name, 100))

    def items(self, name: str, limit: int) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        after, more = None, True
        while more:
            page: ItemPage = self.world.run(
                self.room.looking.list_items(
                    self.owner, name, after=after, limit=limit, order="asc"
                )
            )
            found += [(item.item_id, text_of(item.content)) for item in page.items]
            after, more = found[-1][0] if found else None, page.has_more
        return found

    @rule(name=conversations, limit=st.integers(1, 5))
    def look_at_one(self, name: str, limit: int) -> None:
        kept = self.model[name]
        assert dict(self.items(name, limit)) == kept.items
        self.same(self.world.run(self.room.looking.read(self.owner, name)), kept)
        heard = self.world.run(self.world.process.heard(name, user=self.user))
        assert heard == list(kept.items.values())

    @rule(
        limit=st.integers(1, 5),
        archived=st.sampled_from([True, False, None]),
        order=st.sampled_from(["asc", "desc"]),
        value=st.sampled_from(["x", "z", None]),
    )
    def look_at_all(self, limit: int, archived: bool | None, order: Any, value: str | None) -> None:
        pairs = {} if value is None else {"k": value}
        wanted = Wanted(limit=limit, order=order, archived=archived, metadata=pairs)
        found: list[Conversation] = []
        more = True
        while more:
            page = self.world.run(self.room.listing.page(self.owner, wanted))
            found += page.conversations
            more = page.has_more
            wanted = replace(wanted, after=found[-1].conversation_id if found else None)
        expected = [
            name
            for name, kept in sorted(self.model.items(), reverse=order == "desc")
            if archived in (None, kept.archived) and pairs.items() <= kept.metadata.items()
        ]
        assert [one.conversation_id for one in found] == expected
        for one in found:
            self.same(one, self.model[one.conversation_id])

    @rule()
    def sync(self) -> None:
        """A device brings itself up to date by the feed, a few changes at a time."""
        while self.room.tail.unplaced.count:  # a busy machine may need more than one try
            self.world.run(self.room._placing.place_now())
        self.project()
        more = True
        while more:
            page = self.world.run(
                self.room.feed.read(self.owner, self.cursor, DEVICE_PAGE, from_beginning=True)
            )
            for change in page.changes:
                self.take_change(change)
            self.cursor, more = page.cursor, page.has_more
        assert self.synced == self.model

    def take_change(self, change: Any) -> None:
        name = change.conversation_id
        if change.conversation is None:
            assert change.kind == "deleted" or name not in self.model
            self.synced.pop(name, None)
            return
        if change.kind == "created":
            assert name not in self.synced
            self.synced[name] = Kept()
        kept = self.synced[name]
        for item in change.items:
            assert item.item_id not in kept.items
            kept.items[item.item_id] = text_of(item.content)
        if change.kind == "item_deleted":
            for item_id in change.item_ids:
                kept.items.pop(item_id, None)
        self.synced[name] = replace(kept, **members(change.conversation))

    @rule(name=conversations)
    def follow(self, name: str) -> None:
        """A device comes back to a conversation's events and reads what it missed."""
        if name not in self.followed:
            start = self.world.run(self.room.looking.follow(self.owner, name, None))
            start.close()
            self.followed[name] = (start.start_id, list(self.model[name].items))
            return
        last, view = self.followed[name]
        self.followed[name] = (self.world.run(self.catch_up(name, last, view)), view)
        assert view == list(self.model[name].items)

    async def catch_up(self, name: str, last: str, view: list[str]) -> str:
        followed = await self.room.looking.follow(self.owner, name, last)
        async with aclosing(followed.events(0.0)) as events:
            async for event in events:
                if event is None:
                    break
                last = event.event_id
                if event.item is not None:
                    assert event.item.item_id not in view
                    view.append(event.item.item_id)
                elif event.item_id in view:
                    view.remove(event.item_id)
        followed.close()
        return last

    @precondition(lambda self: len(self.followed) > len(self.model))
    @rule()
    def gone_is_gone(self) -> None:
        for name in self.followed.keys() - self.model.keys():
            for call in (
                self.room.looking.read(self.owner, name),
                self.room.looking.follow(self.owner, name, None),
                self.room.changing.append_items(self.owner, KEY, name, []),
                self.room.changing.fork(self.owner, KEY, name, None),
            ):
                try:
                    self.world.run(call)
                except (ConversationNotFound, CursorExpired):
                    continue
                raise AssertionError(f"{name} is still there")

    def same(self, conversation: Conversation, kept: Kept) -> None:
        assert members(conversation) == {
            name: getattr(kept, name) for name in ("title", "archived", "metadata", "forked_from")
        }

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.sync()
            for name in self.model:
                self.look_at_one(name, 2)
            self.look_at_all(3, None, "desc", None)


def members(conversation: Conversation) -> dict[str, Any]:
    origin = conversation.forked_from
    return {
        "title": conversation.title,
        "archived": conversation.archived,
        "metadata": dict(conversation.metadata),
        "forked_from": origin and (origin.conversation_id, origin.item_id),
    }


async def connect(node: Node) -> asyncpg.Connection:
    return await asyncpg.connect(node.database, timeout=10)


def test_the_room_agrees_with_a_plain_model(node: Node) -> None:
    with asyncio.Runner() as runner:
        world = World(
            node=node,
            runner=runner,
            process=runner.run(node.process()),
            connection=runner.run(connect(node)),
        )

        class Here(Machine):
            pass

        Here.world = world
        profile = settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(Here, settings=profile)
        finally:
            runner.run(world.connection.close())
            runner.run(world.process.close())
