"""Searching: owner's own, in any case, bounded, and the next search goes on."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.app.embedded import EmbeddedServer
from axon.conversations import (
    HistoryUnavailable,
    NewItem,
    NotACursor,
    SearchBusy,
    SearchHit,
    Update,
    feed,
    searching,
)
from axon.conversations.matching import AROUND_CHARS, OPENED_BYTES_MAX, snippet
from tests.conversations.scene import KEY, ORG, Process, query


def item(**members: Any) -> NewItem:
    kind = members.get("type", "message")
    return NewItem(kind=kind, author="user", content=msgspec.json.encode(members))


def text(said: str) -> NewItem:
    return item(type="message", role="user", content=[{"type": "input_text", "text": said}])


async def say(process: Process, *texts: str, user: int = 7) -> str:
    made = await process.conversations.changing.create(
        process.owner(user), KEY, {}, [text(one) for one in texts]
    )
    return made.conversation_id


async def search(
    process: Process, words: str, limit: int = 100, after: str | None = None, user: int = 7
) -> list[SearchHit]:
    """Return every hit, page by page."""
    hits: list[SearchHit] = []
    while True:
        page = await process.conversations.searching.search(
            process.owner(user), words, limit, after
        )
        assert len(page.hits) <= limit
        hits += page.hits
        if page.cursor is None:
            return hits
        assert page.cursor != after
        after = page.cursor


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_hits_come_newest_first_once(process: Process, limit: int) -> None:
    names = [await say(process, f"the Cat {n}", "a dog", f"no CATS {n}") for n in range(3)]
    update = Update(title="Catalogue")
    await process.conversations.changing.update(process.owner(), KEY, names[1], update)
    await process.project()
    hits = await search(process, "cAt", limit)
    found = [(names.index(hit.conversation_id), hit.snippet) for hit in hits]
    expected = [(n, said) for n in (2, 1, 0) for said in (f"no CATS {n}", f"the Cat {n}")]
    expected.insert(2, (1, "Catalogue"))
    assert found == expected
    assert [hit.item_id is None for hit in hits] == [n == 2 for n in range(7)]
    assert {hit.title for hit in hits if hit.conversation_id == names[1]} == {"Catalogue"}


async def test_every_text_of_an_item_is_looked_through(process: Process) -> None:
    items = [
        item(type="message", content=[{"type": "input_text", "text": "needle 1"}]),
        item(type="message", content=[{"type": "refusal", "refusal": "needle 2"}]),
        item(type="function_call", call_id="needle", name="needle", arguments='{"a": "needle 3"}'),
        item(type="function_call_output", call_id="c", output="needle 4"),
        item(type="function_call_output", call_id="c", output=[{"text": "needle 5"}]),
        item(type="reasoning", summary=[{"type": "summary_text", "text": "needle 6"}]),
        item(type="custom_tool_call", input="needle 7"),
        item(type="message", content="needle is no part", odd=["needle"]),
        item(type="message", content=[{"type": "input_image", "image_url": "needle"}, 7]),
    ]
    await process.conversations.changing.create(process.owner(), KEY, {}, items)
    await process.project()
    found = [hit.snippet.strip('{"}')[-1] for hit in await search(process, "NEEDLE")]
    assert found == list("7654321")


async def test_what_is_gone_hidden_or_somebody_elses_is_not_found(process: Process) -> None:
    deleted = await say(process, "needle")
    kept = await say(process, "needle", "needle too")
    await say(process, "needle", user=8)
    chain = process.mint.mint("conv", ORG, 7)
    begun = process.conversations.start(process.owner(), chain)
    record, turn = await process.completed(await process.head(begun, implicit=True), "needle", "b")
    await process.append(record)
    await process.conversations.commit(begun, turn)
    await process.conversations.changing.delete(process.owner(), KEY, deleted)
    await process.project()
    page = await process.conversations.looking.list_items(
        process.owner(), kept, after=None, limit=1, order="asc"
    )
    gone = page.items[0].item_id
    await process.conversations.changing.delete_item(process.owner(), KEY, kept, gone)
    await process.project()
    assert [hit.snippet for hit in await search(process, "needle")] == ["needle too"]
    assert [hit.snippet for hit in await search(process, "needle", user=8)] == ["needle"]


@pytest.mark.parametrize(
    ("bound", "most"),
    [("SEARCH_CONVERSATIONS_MAX", 2), ("SEARCH_BYTES_MAX", 200), ("SEARCH_S", 0.0)],
)
async def test_a_search_ends_at_its_bounds_and_goes_on(
    process: Process, monkeypatch: pytest.MonkeyPatch, bound: str, most: float
) -> None:
    for number in range(8):
        await say(process, f"needle {number}", "hay")
    await process.project()
    whole = await search(process, "needle")
    assert len(whole) == 8
    if bound == "SEARCH_S":  # the wait for a place has the same bound
        monkeypatch.setattr(process.conversations.searching, "_free", _Always())
    monkeypatch.setattr(searching, bound, most)
    page = await process.conversations.searching.search(process.owner(), "needle", 100)
    assert not page.complete and page.cursor is not None and len(page.hits) < 8
    assert await search(process, "needle") == whole


class _Always:
    """A semaphore with room for everybody."""

    async def acquire(self) -> None:
        return None

    def release(self) -> None:
        return None


async def test_pages_and_slices_join_up(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [await say(process, *(f"needle {n} {m}" for m in range(5))) for n in range(5)]
    await process.project()
    whole = await search(process, "needle")
    assert [hit.conversation_id for hit in whole] == [name for name in names[::-1] for _ in "12345"]
    monkeypatch.setattr(searching, "_PAGE_CONVERSATIONS", 2)
    monkeypatch.setattr(searching, "_SLICE_ITEMS", 2)
    assert await search(process, "needle") == whole
    monkeypatch.setattr(searching, "_SLICE_BYTES", 1)
    assert await search(process, "needle", 3) == whole


async def test_what_is_not_projected_makes_the_answer_incomplete(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CATCH_UP_S", 0.0)
    await say(process, "needle")
    page = await process.conversations.searching.search(process.owner(), "needle", 1)
    assert (page.hits, page.complete, page.cursor) == ((), False, None)


async def test_few_search_at_once(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "SEARCH_S", 0.01)
    places = process.conversations.searching._free
    for _ in range(searching.SEARCHES_AT_ONCE):
        await places.acquire()
    with pytest.raises(SearchBusy):
        await process.conversations.searching.search(process.owner(), "needle", 1)
    places.release()
    await process.conversations.searching.search(process.owner(), "needle", 1)
    await asyncio.wait_for(places.acquire(), 1)


async def test_images_and_damaged_items_are_passed_over(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(process, "needle" + "x" * OPENED_BYTES_MAX)
    damaged = await say(process, "needle, damaged")
    await say(process, "needle, whole")
    await process.project()
    sql = "UPDATE conversations.items SET blob = blob || '\\x00' WHERE conversation_id = $1"
    await query(process.node.database, sql, damaged)
    assert [hit.snippet for hit in await search(process, "needle")] == ["needle, whole"]
    monkeypatch.setattr(searching, "ITEM_BYTES_MAX", 10)
    assert await search(process, "needle") == []


@pytest.mark.parametrize("after", ["", "x", "conv_1.1.1", f"conv_{'0' * 50}.9999999999.1"])
async def test_nonsense_is_no_cursor(process: Process, after: str) -> None:
    with pytest.raises(NotACursor):
        await process.conversations.searching.search(process.owner(), "x", 1, after)


async def test_without_postgresql_nothing_is_found_for_sure(
    process: Process, postgres_server: EmbeddedServer
) -> None:
    await say(process, "needle")
    await process.project()
    postgres_server.kill()
    with pytest.raises(HistoryUnavailable):
        await process.conversations.searching.search(process.owner(), "needle", 1)


def test_a_snippet_shows_what_stands_around() -> None:
    around = "ab" * AROUND_CHARS
    shown = snippet(f"{around}NeeDle{around}", "needle")
    assert shown == f"…{around[-AROUND_CHARS:]}NeeDle{around[:AROUND_CHARS]}…"
    assert snippet("needle", "needle") == "needle"
    assert snippet("hay", "needle") is None


@settings(derandomize=True, max_examples=300)
@given(st.text(), st.text(min_size=1), st.text())
def test_a_snippet_holds_the_match_in_any_script(before: str, said: str, after: str) -> None:
    shown = snippet(before + said + after, said.casefold())
    assert shown is not None
    assert said.casefold() in shown.casefold()
