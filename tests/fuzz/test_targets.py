"""Every reader of bytes that others wrote, under made-up ones: typed errors and nothing wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.event_stream import events_of
from tests.fuzz.mutations import near
from tests.fuzz.targets import TARGETS

EXAMPLES = 150
"""Of each target; `make fuzz` tries for as long as it is told to."""


@pytest.mark.parametrize("name", TARGETS)
def test_made_up_bytes_meet_only_the_errors_that_are_named(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(near(target.seeds))
    def read(data: bytes) -> None:
        target.read(data)

    read()


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_read(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].read(seed)


@given(st.lists(st.sampled_from([b"data: a", b"data", b": x", b"event: e", b""]), max_size=8))
def test_the_reference_reads_what_the_specification_says(lines: list[bytes]) -> None:
    for end in (b"\n", b"\r", b"\r\n"):
        stream = end.join([*lines, b"", b""])
        events = events_of(stream)
        assert events == events_of(b"\n".join([*lines, b"", b""]))
    assert sum(event.count(b"a") for event in events) == lines.count(b"data: a")
