from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.inference.errors import AnswerTooLarge
from axon.inference.sse import EVENT_BYTES_MAX, EventSplitter

BLANK = {"lf": b"\n\n", "crlf": b"\r\n\r\n", "cr": b"\r\r"}


@pytest.mark.parametrize("blank", BLANK.values(), ids=BLANK.keys())
def test_only_complete_events_leave(blank: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a" + blank + b"data: b" + blank + b"data: c") == (
        b"data: a" + blank + b"data: b" + blank
    )
    assert splitter.feed(blank[:1]) == b""
    assert splitter.feed(blank[1:]) == b"data: c" + blank
    assert splitter.finish() == b""


@given(
    texts=st.lists(st.text("ab: \u00fc", min_size=1, max_size=9), min_size=1, max_size=6),
    blank=st.sampled_from(list(BLANK.values())),
    cuts=st.lists(st.integers(0, 80), max_size=12),
)
def test_any_cutting_gives_the_same_events(texts: list[str], blank: bytes, cuts: list[int]) -> None:
    events = [b"data: " + text.encode() + blank for text in texts]
    data = b"".join(events)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    splitter = EventSplitter()
    out = [splitter.feed(data[a:b]) for a, b in pairwise(places)]
    ends = {sum(map(len, events[:n])) for n in range(len(events) + 1)}
    passed = 0
    for piece, arrived in zip(out, places[1:], strict=True):
        passed += len(piece)
        assert passed in ends, "an event left in two pieces"
        assert passed == max(end for end in ends if end <= arrived), "a complete event was held"
    assert b"".join(out) == data


def test_a_last_event_without_its_blank_line_is_completed() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\ndata: [DONE]\n") == b"data: a\n\n"
    assert splitter.finish() == b"data: [DONE]\n\n"
    assert splitter.finish() == b""


def test_an_event_has_a_bound() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"x" * EVENT_BYTES_MAX) == b""
    with pytest.raises(AnswerTooLarge):
        splitter.feed(b"x")
