"""Lists of conversations: PostgreSQL and the tail as one, in the order of creation."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from axon.app.embedded import EmbeddedServer
from axon.conversations import HistoryUnavailable, Update, Wanted, listing
from tests.conversations.scene import KEY, ORG, Process

EVERYTHING = Wanted(limit=100, archived=None)


async def names(process: Process, user: int = 7, **wanted: Any) -> list[str]:
    page = await process.conversations.listing.page(
        process.owner(user), replace(EVERYTHING, **wanted)
    )
    return [one.conversation_id for one in page.conversations]


@pytest.mark.parametrize("projected", range(5))
async def test_what_is_projected_when_makes_no_difference(process: Process, projected: int) -> None:
    """The same story, with PostgreSQL brought up to date after a different step of it."""
    owner, room = process.owner(), process.conversations
    made: list[str] = []

    async def archive(name: str, archived: bool) -> None:
        update = Update(archived=archived, metadata={"archived": str(archived)})
        await room.changing.update(owner, KEY, name, update)

    made += [await process.conversation(f"{number}") for number in range(4)]
    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: archive(made[1], True),
        lambda: room.changing.delete(owner, KEY, made[2]),
        lambda: archive(made[1], False),
        lambda: process.say(made[3], "b", "c"),
        lambda: archive(made[0], True),
    ]
    for number, step in enumerate(steps):
        await step()
        if number == projected:
            await process.project()
    one, two, _, four = made
    assert await names(process) == [four, two, one]
    assert await names(process, order="asc") == [one, two, four]
    assert await names(process, archived=True) == [one]
    assert await names(process, archived=False) == [four, two]
    assert await names(process, metadata={"archived": "False"}) == [two]
    assert await names(process, model="small") == [four]
    assert await names(process, after=four, limit=1) == [two]
    assert await names(process, after=made[2], order="asc") == [four]


async def test_chains_and_other_people_are_not_listed(process: Process) -> None:
    chain = process.mint.mint("conv", ORG, 7)
    begun = process.conversations.start(process.owner(), chain)
    record, turn = await process.completed(await process.head(begun, implicit=True), "a", "b")
    await process.append(record)
    await process.conversations.commit(begun, turn)
    await process.conversation("somebody else's", user=8)
    mine = await process.conversation("mine")
    for _ in range(2):
        assert await names(process) == [mine]
        await process.project()


async def test_a_title_whose_key_was_erased_is_none(process: Process) -> None:
    name = await process.conversation("a")
    await process.conversations.changing.update(process.owner(), KEY, name, Update(title="secret"))
    for _ in range(2):
        await process.project()
        page = await process.conversations.listing.page(process.owner(), EVERYTHING)
        titles = [one.title for one in page.conversations]
        erased = await process.keys.erase(ORG, 7)
        assert titles == (["secret"] if erased else [None])


async def test_a_list_is_not_guessed(
    process: Process, postgres_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await process.conversation(f"{number}")
    assert len(await names(process)) == 3
    monkeypatch.setattr(listing, "TAIL_CONVERSATIONS_MAX", 2)
    with pytest.raises(HistoryUnavailable):
        await names(process)
    await process.project()
    assert len(await names(process)) == 3
    postgres_server.kill()
    with pytest.raises(HistoryUnavailable):
        await names(process)
