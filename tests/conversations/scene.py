"""A process that holds conversations, with a real journal, PostgreSQL and Valkey."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from axon.archive import ArchiveParts, Thawing
from axon.base import Clock, IdMint, SystemClock, SystemRandomness
from axon.conversations import (
    Begun,
    Conversations,
    ConversationsParts,
    ConversationsProjector,
    NewItem,
    Owner,
    WindowTurn,
    without_archive,
)
from axon.journal import (
    Journal,
    JournalEnvironment,
    JournalOptions,
    Location,
    SystemDisk,
    read_cursor,
    write_cursor,
)
from axon.limits import Limits, LimitsParts
from axon.projection import Positioned
from axon.records import (
    Record,
    SealedItem,
    TokenUsage,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    decode,
    encode,
)
from axon.sealing import Keyring, KeyStore, item_context, seal
from axon.stores import Objects, Postgres, PostgresOptions, Valkey

ORG = "org_test"
KEY = "key_test"
WAIT_S = 20.0
BACKGROUND_TASKS = 2  # that a process has for as long as it lives

RANDOMNESS = SystemRandomness()


@dataclass
class Node:
    """What the processes of one node share."""

    folder: Path
    keyring: Keyring
    database: str
    valkey_url: str
    clock: Clock = field(default_factory=SystemClock)
    processes: int = 1
    """How many share the limits."""
    disk: SystemDisk = field(default_factory=SystemDisk)
    """Of the journals."""
    objects: Objects | None = None
    """Of the archive, where there is one."""

    async def process(self, instance: str = "a", epoch: str = "epoch") -> "Process":
        """Start a process; its journal is `instance`'s, recovered when there is one."""
        process = Process(self, instance, self.folder / epoch)
        await process.open()
        return process


class Process:
    """One process: everything a turn of a conversation needs, and short ways to say it."""

    def __init__(self, node: Node, instance: str, epoch_path: Path) -> None:
        self.node = node
        self.instance = instance
        self.mint = IdMint(node.keyring.identity, node.clock, RANDOMNESS)
        self.keys = KeyStore(node.folder / "keys", node.keyring, node.clock, RANDOMNESS)
        self.postgres = Postgres(node.database, PostgresOptions(connect_timeout_s=1.0), node.clock)
        self.valkey = Valkey(node.valkey_url, timeout_ms=1000, clock=node.clock)
        self.directory = node.folder / "journal" / instance
        self.journal = self._open_journal()
        self.archive = (
            None
            if node.objects is None
            else ArchiveParts(
                postgres=self.postgres,
                objects=node.objects,
                clock=node.clock,
                randomness=RANDOMNESS,
            )
        )
        self.thawing = Thawing(self.archive) if self.archive else None
        self.conversations = Conversations(
            ConversationsParts(
                postgres=self.postgres,
                valkey=self.valkey,
                journal=self.journal,
                keys=self.keys,
                mint=self.mint,
                clock=node.clock,
                randomness=RANDOMNESS,
                instance=instance,
                epoch_path=epoch_path,
                thaw=self.thawing.thaw if self.thawing else without_archive,
            )
        )
        self.limits = Limits(
            LimitsParts(
                postgres=self.postgres,
                valkey=self.valkey,
                clock=node.clock,
                randomness=RANDOMNESS,
                instance=instance,
                projected=lambda: read_cursor(self.directory),
                snapshot=node.folder / "limits.json",
                processes=node.processes,
            )
        )
        self.projected = read_cursor(self.directory)

    def _open_journal(self) -> Journal:
        options = JournalOptions(reserve_bytes=0, low_water_bytes=0)
        environment = JournalEnvironment(
            disk=self.node.disk, clock=self.node.clock, on_fatal=lambda _: None
        )
        return Journal.open(self.directory, self.instance, options, environment)

    async def open(self) -> None:
        await self.postgres.start()
        await self.valkey.start()
        self.conversations.tail.prune(read_cursor(self.directory))
        for entry in self.journal.read(0):  # more than is needed, as after any crash
            record = decode(entry.kind, entry.payload)
            self.conversations.tail.note(record, entry.location)
            self.limits.note(record, entry.location.sequence)
        await self.conversations.open()
        await self.limits.start()

    async def close(self) -> None:
        """Stop as a process that dies does: nothing is given back."""
        await self.limits.stop()
        if self.thawing is not None:
            await self.thawing.stop()
        await self.conversations.stop()
        await self.journal.close()
        await self.valkey.stop()
        await self.postgres.stop()
        await self.keys.close()

    def owner(self, user: int = 7, org_id: str = ORG) -> Owner:
        return Owner(org_id=org_id, user=user)

    async def append(self, record: Record) -> Location:
        location = await self.journal.append(*encode(record))
        self.conversations.tail.note(record, location)
        return location

    async def head(self, begun: Begun, *, implicit: bool = False) -> TurnHead:
        return TurnHead(
            turn_id=self.mint.mint("resp", begun.owner.org_id, begun.owner.user),
            org_id=begun.owner.org_id,
            user=begun.owner.user,
            credential_id=KEY,
            conversation_id=begun.conversation_id,
            sequence=begun.sequence,
            fence=begun.fence,
            surface="responses",
            model="small",
            accepted_us=self.node.clock.now_us(),
            implicit=implicit,
            stored=True,
            follows=begun.follows,
            without_history=bool(begun.degraded),
        )

    async def seal(self, head: TurnHead, author: str, text: str) -> tuple[SealedItem, bytes]:
        key = await self.keys.current(head.org_id, head.user)
        new = message(author, text)
        item_id = self.mint.mint(new.prefix, head.org_id, head.user)
        content = new.with_id(item_id)
        context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, item_id)
        blob = seal(key, context, content, RANDOMNESS)
        return SealedItem(item_id, "message", author, len(text), blob), content

    async def completed(self, head: TurnHead, *texts: str) -> tuple[TurnCompleted, WindowTurn]:
        """Return the record of a turn that says `texts`, the last as the assistant."""
        *asked, answered = texts
        said = [await self.seal(head, "user", text) for text in asked]
        said.append(await self.seal(head, "assistant", answered))
        items = [item for item, _ in said]
        key = await self.keys.current(head.org_id, head.user)
        context = item_context(head.org_id, head.user, head.conversation_id, head.turn_id, "answer")
        record = TurnCompleted(
            head=head,
            input=items[:-1],
            output=items[-1:],
            answer=seal(key, context, b'{"answer": 1}', RANDOMNESS),
            status="completed",
            usage=TokenUsage(input_tokens=3, output_tokens=2),
            upstream="engine",
            upstream_id="",
            completed_us=self.node.clock.now_us(),
            first_token_us=0,
            assignments=[],
        )
        turn = WindowTurn(head.turn_id, head.sequence, items, tuple(content for _, content in said))
        return record, turn

    async def accepted(self, head: TurnHead) -> TurnAccepted:
        return TurnAccepted(
            head=head,
            request=b"",
            input=[],
            streamed=False,
            background=False,
            input_tokens_reserved=1,
            output_tokens_reserved=1,
            idempotency_mac=b"",
            body_mac=b"",
            attempt=0,
            assignments=[],
        )

    async def end(self, begun: Begun, *texts: str, implicit: bool = False) -> str:
        """Journal and commit a turn that says `texts`; return its id."""
        record, turn = await self.completed(await self.head(begun, implicit=implicit), *texts)
        await self.append(record)
        assert self.conversations.still_owned(begun)
        await self.conversations.commit(begun, turn)
        return turn.turn_id

    async def say(self, conversation_id: str, *texts: str, user: int = 7) -> str:
        """Take one whole turn; return its id."""
        begun = await self.conversations.begin(self.owner(user), conversation_id, WAIT_S)
        return await self.end(begun, *texts)

    async def say_alone(self, conversation_id: str, *texts: str, user: int = 7) -> str:
        """Take one whole turn without its history; return its id."""
        begun = await self.conversations.begin_without_history(
            self.owner(user), conversation_id, WAIT_S
        )
        return await self.end(begun, *texts)

    async def answer_alone(self, turn_id: str, *texts: str, user: int = 7) -> str:
        """Continue a response without its history; return the turn's id."""
        begun = await self.conversations.begin_behind(self.owner(user), turn_id, WAIT_S)
        return await self.end(begun, *texts, implicit=True)

    async def conversation(self, *texts: str, user: int = 7) -> str:
        """Return a new conversation with these messages of the person's."""
        items = [message("user", text) for text in texts]
        made = await self.conversations.changing.create(self.owner(user), KEY, {}, items)
        return made.conversation_id

    async def heard(self, conversation_id: str, user: int = 7) -> list[str]:
        """Return what the next turn would be told, as texts."""
        begun = await self.conversations.begin(self.owner(user), conversation_id, WAIT_S)
        await self.conversations.abort(begun)
        return told(begun)

    async def records(self) -> list[Positioned]:
        """Return every record of the journal."""
        return [
            Positioned(
                instance=self.instance,
                sequence=entry.sequence,
                record=decode(entry.kind, entry.payload),
            )
            for entry in self.journal.read(0)
        ]

    async def project(self) -> None:
        """Bring PostgreSQL up to date with this journal and prune the tail."""
        fresh = [one for one in await self.records() if one.sequence > self.projected]
        await apply(self.node.database, fresh)
        if fresh:
            self.projected = fresh[-1].sequence  # and no further: this process writes meanwhile
        write_cursor(self.directory, self.projected)
        self.conversations.tail.prune(self.projected)


async def apply(database: str, records: Sequence[Positioned]) -> None:
    connection = await asyncpg.connect(database, timeout=10)
    try:
        async with connection.transaction():
            await ConversationsProjector().apply(connection, list(records))
    finally:
        await connection.close()


async def query(database: str, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(database, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


def message(author: str, text: str) -> NewItem:
    return NewItem(
        kind="message", author=author, content=b'{"text":"%b"}' % text.encode(), model_tokens=1
    )


def text_of(content: bytes) -> str:
    return content.partition(b'"text":"')[2].partition(b'"')[0].decode()


def told(begun: Begun) -> list[str]:
    return [text_of(item.content) for turn in begun.history for item in turn.items]


async def held(process: Process) -> str:
    """Return a conversation that only PostgreSQL has."""
    conversation = await process.conversation("hello")
    await process.say(conversation, "one", "two")
    await process.project()
    await forgotten(process)
    return conversation


async def forgotten(process: Process) -> None:
    """Let Valkey and the process forget every window."""
    await process.valkey.call("FLUSHALL")
    opened = process.conversations._leasing._sources.opened
    for name in list(opened._windows):
        opened.drop(name)


async def eventually(condition: Any) -> None:
    """Wait until `condition()` holds; the run's own time limit ends a wait for nothing."""
    while not condition():
        await asyncio.sleep(0.005)
