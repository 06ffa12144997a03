"""No stampede on PostgreSQL: one question is asked once, few are asked at a time, in order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    ConversationNotFound,
    HistoryAway,
    HistoryUnavailable,
    LoadsBusy,
)
from axon.conversations.lease_store import _GIVE_BACK
from axon.conversations.loads import LOADS_AT_ONCE, Loads, SharedReads
from axon.stores import Postgres
from tests.conversations.scene import (
    WAIT_S,
    Process,
    eventually,
    forgotten,
    held,
    text_of,
    told,
)

AT_ONCE = 200


class Counted:
    """Counts the statements that the room sends to PostgreSQL, also by the tables they name.

    Other rooms of the process look something up now and then; they do not count.
    """

    def __init__(self, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: Counter[str] = Counter()
        self.sent: list[str] = []
        self.most_at_once = 0
        self._lent: set[asyncpg.Connection] = set()
        lend = postgres.connection

        @asynccontextmanager
        async def counting(timeout_s: float) -> AsyncIterator[asyncpg.Connection]:
            async with lend(timeout_s) as connection:

                def note(query: Any) -> None:
                    self._note(connection, query.query)

                connection.add_query_logger(note)
                try:
                    yield connection
                finally:
                    connection.remove_query_logger(note)
                    self._lent.discard(connection)

        # The pool is the only place that sees every connection, and it has no reason to count.
        monkeypatch.setattr(postgres, "connection", counting)

    def forget(self) -> None:
        """Count from here."""
        self.statements.clear()
        self.sent.clear()

    def _note(self, connection: asyncpg.Connection, query: str) -> None:
        if " conversations." not in query:
            return
        self._lent.add(connection)
        self.most_at_once = max(self.most_at_once, len(self._lent))
        self.sent.append(query)
        for table in ("conversations", "items", "parked", "leases"):
            self.statements[table] += f".{table} " in query or f".{table}\n" in query


@pytest.fixture
def counted(process: Process, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(process.postgres, monkeypatch)


async def test_many_readers_of_one_conversation_are_one_read(
    process: Process, counted: Counted
) -> None:
    conversation = await held(process)
    counted.forget()
    room, owner = process.conversations, process.owner()
    pages = [
        room.looking.list_items(owner, conversation, after=None, limit=10, order="asc")
        for _ in range(AT_ONCE)
    ]
    reads = [room.looking.read(owner, conversation) for _ in range(AT_ONCE)]
    shown, found = await asyncio.gather(asyncio.gather(*pages), asyncio.gather(*reads))
    for page in shown:
        assert [text_of(item.content) for item in page.items] == ["hello", "one", "two"]
    assert {read.head_sequence for read in found} == {2}
    assert counted.statements == {"conversations": 1, "parked": 1, "items": 1, "leases": 1}
    # How it stands is one statement, its items are another.
    assert len(counted.sent) == 2, counted.sent


async def test_a_turn_without_valkey_waits_for_two_statements(
    process: Process, counted: Counted, valkey_server: EmbeddedServer
) -> None:
    """The lease, and how the conversation stands: this process still has its history opened."""
    conversation = await held(process)
    valkey_server.kill()
    place = process.owner(), conversation, WAIT_S
    await process.end(await process.conversations.begin(*place), "ask", "answered")
    counted.sent.clear()
    begun = await process.conversations.begin(*place)
    assert told(begun)[-2:] == ["ask", "answered"]
    await asyncio.sleep(0)  # asyncpg tells of a statement in the next tick
    waited_for = [query for query in counted.sent if query != _GIVE_BACK]  # nobody waits for that
    assert len(waited_for) == 2, waited_for
    await process.conversations.abort(begun)


@pytest.mark.parametrize("valkey", [True, False])
async def test_many_turns_of_one_conversation_load_its_history_once(
    process: Process, counted: Counted, valkey_server: EmbeddedServer, valkey: bool
) -> None:
    conversation = await held(process)
    if not valkey:
        valkey_server.kill()
    counted.forget()

    async def turn(number: int) -> list[str]:
        begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
        await process.end(begun, f"ask {number}", "answered")
        return told(begun)

    histories = await asyncio.gather(*(turn(number) for number in range(50)))
    assert sorted(map(len, histories)) == list(range(3, 103, 2))
    assert counted.statements["items"] == 1


async def test_what_was_acknowledged_before_a_read_began_is_in_it(process: Process) -> None:
    """A read under way is not shared with who asks after a record was noted."""
    conversation = await held(process)

    async def texts() -> list[str]:
        page = await process.conversations.looking.list_items(
            process.owner(), conversation, after=None, limit=10, order="asc"
        )
        return [text_of(item.content) for item in page.items]

    await process.heard(conversation)  # so that the turn needs no load
    async with AsyncExitStack() as slots:
        for _ in range(LOADS_AT_ONCE):
            await slots.enter_async_context(process.conversations._reading._loads.slot())
        before = asyncio.ensure_future(texts())
        await asyncio.sleep(0.01)
        await process.say(conversation, "three", "four")
        late = asyncio.ensure_future(texts())
        await asyncio.sleep(0.01)
    assert (await late)[-2:] == ["three", "four"]
    await before


async def test_few_conversations_are_loaded_at_once(process: Process, counted: Counted) -> None:
    names = [await process.conversation(f"text {number}") for number in range(40)]
    await process.project()
    await forgotten(process)
    heard = await asyncio.gather(*(process.heard(name) for name in names))
    assert heard == [[f"text {number}"] for number in range(40)]
    assert 1 < counted.most_at_once <= LOADS_AT_ONCE


async def test_a_read_that_fails_fails_for_all_and_is_not_kept(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    conversation = await held(process)
    postgres_server.kill()
    reads = [process.conversations.looking.read(process.owner(), conversation) for _ in range(20)]
    for error in await asyncio.gather(*reads, return_exceptions=True):
        assert isinstance(error, HistoryUnavailable)
    postgres_server.ensure()
    await eventually(lambda: process.postgres.available)
    read = await process.conversations.looking.read(process.owner(), conversation)
    assert read.head_sequence == 2


async def test_the_bounds_of_waiting() -> None:
    loads = Loads(at_once=1, waiting_max=2, wait_s=0.2)
    order = []

    async def load(number: int) -> None:
        async with loads.slot():
            order.append(number)
            await asyncio.sleep(0)

    async with loads.slot():
        waiting = [asyncio.ensure_future(load(number)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(LoadsBusy):  # too many wait
            await load(2)
        waiting.pop(0).cancel()
        await asyncio.sleep(0)
        waiting += [asyncio.ensure_future(load(3))]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert order == [1, 3]
    async with loads.slot():
        with pytest.raises(LoadsBusy):  # too long
            await load(4)
    await load(5)
    assert order == [1, 3, 5]


async def test_behind_a_store_that_is_away_nobody_is_told_to_come_back() -> None:
    """It is an outage, which has its own answer, and no crowd."""
    there = True
    loads = Loads(at_once=1, waiting_max=1, wait_s=0.1, available=lambda: there)
    async with loads.slot():
        waiting = asyncio.ensure_future(loads.slot().__aenter__())
        await asyncio.sleep(0)
        there = False
        for late in (loads.slot().__aenter__(), waiting):
            with pytest.raises(HistoryAway):
                await late


async def test_who_asked_goes_away_and_another_asks() -> None:
    shared = SharedReads()
    asked: list[int] = []

    async def ask() -> str:
        asked.append(len(asked))
        await asyncio.sleep(0.01)
        return "answer"

    readers = [asyncio.ensure_future(shared.read("conv", "what", ask)) for _ in range(3)]
    await asyncio.sleep(0)
    readers[0].cancel()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == ["answer", "answer"]
    assert asked == [0, 1]
    others = [asyncio.ensure_future(shared.read("conv", "what", ask)) for _ in range(2)]
    await asyncio.sleep(0)
    others[1].cancel()  # who only waits takes nobody along
    assert await others[0] == "answer"
    shared.forget("conv")
    assert shared.running == {}


async def test_an_error_is_told_to_all() -> None:
    shared = SharedReads()

    async def ask() -> str:
        await asyncio.sleep(0)
        raise ConversationNotFound

    reads = [shared.read("conv", "what", ask) for _ in range(3)]
    for error in await asyncio.gather(*reads, return_exceptions=True):
        assert isinstance(error, ConversationNotFound)
