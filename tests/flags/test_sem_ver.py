"""Versions: read and ordered as flagd's core does, which takes the semver package's word."""

import pytest
import semver
from hypothesis import given, settings
from hypothesis import strategies as st

from axon.flags.sem_ver import COMPARISONS, VERSION_CHARS_MAX, read_version

PARTS = st.sampled_from(("0", "1", "2", "10", "01", "a", "A-b", "rc", "-", "é", "", "9" * 20))
TEXTS = st.builds(
    lambda numbers, before, build: ".".join(numbers) + before + build,
    st.lists(PARTS, min_size=1, max_size=4),
    st.lists(PARTS, max_size=3).map(lambda parts: "-" + ".".join(parts) if parts else ""),
    st.lists(PARTS, max_size=2).map(lambda parts: "+" + ".".join(parts) if parts else ""),
)
VALID = st.builds(
    lambda numbers, before: ".".join(map(str, numbers)) + before,
    st.tuples(*[st.integers(0, 3)] * 3),
    st.sampled_from(("", "-1", "-2", "-10", "-a", "-a.1", "-a.b", "-b", "+x", "-1+x", "-a-b")),
)


@settings(deadline=None)
@given(TEXTS)
def test_exactly_versions_are_read(text: str) -> None:
    core = text.partition("-")[0].partition("+")[0]
    padded = core + ".0" * max(0, 2 - core.count(".")) + text[len(core) :]
    assert (read_version(text) is not None) == semver.Version.is_valid(padded)


@settings(deadline=None)
@given(VALID, VALID)
def test_versions_are_ordered(one: str, other: str) -> None:
    first, second = read_version(one), read_version(other)
    theirs = semver.Version.parse(one), semver.Version.parse(other)
    assert first is not None and second is not None
    expected = {
        "=": theirs[0] == theirs[1],
        "!=": theirs[0] != theirs[1],
        "<": theirs[0] < theirs[1],
        "<=": theirs[0] <= theirs[1],
        ">": theirs[0] > theirs[1],
        ">=": theirs[0] >= theirs[1],
        "^": theirs[0].major == theirs[1].major,
        "~": (theirs[0].major, theirs[0].minor) == (theirs[1].major, theirs[1].minor),
    }
    assert {name: compare(first, second) for name, compare in COMPARISONS.items()} == expected


@pytest.mark.parametrize(
    ("written", "meant"), [("v1.2.3", "1.2.3"), ("V1", "1.0.0"), (2, "2.0.0"), (1.2, "1.2.0")]
)
def test_short_ways_to_write_a_version(written: str | float, meant: str) -> None:
    assert read_version(written) == read_version(meant)


@pytest.mark.parametrize("value", [None, True, [], {}, "", "v", "1.2.3.4", "1.2.3-", "1.0.0\n"])
def test_what_is_no_version(value: object) -> None:
    assert read_version(value) is None  # type: ignore[arg-type]


def test_a_version_is_only_so_long() -> None:
    longest = "1.2.3-" + "a" * (VERSION_CHARS_MAX - 6)
    assert read_version(longest) is not None
    assert read_version(longest + "a") is None
