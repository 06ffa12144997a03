"""A turn's stream: every follower gets every event behind its place, whole and once."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from axon.turns.stream import TurnStream, count_events, skip_events


def event(number: int) -> bytes:
    return b'event: e\ndata: {"sequence_number":%d}\n\n' % number


def events(count: int) -> list[bytes]:
    return [event(number) for number in range(count)]


@given(there=st.integers(0, 20), skipped=st.integers(0, 25))
def test_skipping_leaves_what_is_behind(there: int, skipped: int) -> None:
    data = b"".join(events(there))
    rest, left = skip_events(data, skipped)
    assert rest == b"".join(events(there)[skipped:])
    assert left == max(0, skipped - there)
    assert count_events(data) == there


async def read(stream: TurnStream, skipped: int) -> bytes:
    pieces, ended = [], False
    async for data, last in stream.follow(skipped):
        assert not ended
        pieces.append(data)
        ended = last
    assert ended
    return b"".join(pieces)


@given(
    chunks=st.lists(st.integers(0, 4), max_size=8),
    skipped=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    seen_before=st.integers(0, 8),
)
def test_followers_of_any_place_and_time_get_the_rest(
    chunks: list[int], skipped: list[int], seen_before: int
) -> None:
    async def scene() -> None:
        stream, whole = TurnStream(), events(sum(chunks))
        followers = []
        told = 0
        for place, count in enumerate(chunks):
            if place == seen_before:
                followers = [asyncio.create_task(read(stream, one)) for one in skipped]
            stream.show(b"".join(whole[told : told + count]))
            told += count
            await asyncio.sleep(0)
        stream.end()
        followers += [asyncio.create_task(read(stream, one)) for one in skipped]
        for follower, one in zip(followers[-len(skipped) :], skipped, strict=True):
            assert await follower == b"".join(whole[one:])
        for follower, one in zip(followers, skipped, strict=False):
            assert await follower == b"".join(whole[one:])

    asyncio.run(scene())


async def test_begun_and_over_wait_for_what_they_say() -> None:
    stream = TurnStream()
    begun, over = asyncio.create_task(stream.begun()), asyncio.create_task(stream.over())
    await asyncio.sleep(0)
    assert not begun.done()
    stream.show(event(0))
    await begun
    assert not over.done()
    stream.end()
    await over


async def test_a_stream_that_ends_without_anything_has_begun() -> None:
    stream = TurnStream()
    begun = asyncio.create_task(stream.begun())
    await asyncio.sleep(0)
    stream.end()
    await begun
    assert await read(stream, 0) == b""
