"""A short run of the coverage-guided engine on the reader that durability rests on."""

from pathlib import Path

import pytest

from tests.fuzz.coverage_guided.guided import NO_ENGINE, has_engine, run_guided

RUNS = 10_000
"""A few seconds; `make fuzz` runs every target for as long as it is told to."""

WITHIN_S = 120.0

pytestmark = pytest.mark.skipif(not has_engine(), reason=NO_ENGINE)


def test_the_engine_finds_nothing_in_the_journal(tmp_path: Path) -> None:
    ran = run_guided("journal_entries", tmp_path, f"-runs={RUNS}", WITHIN_S, seed=1)
    assert not ran.found, ran.said
    assert f"Done {RUNS} runs" in ran.said


def test_the_engine_finds_what_was_planted(tmp_path: Path) -> None:
    ran = run_guided("planted", tmp_path, "-runs=200000", WITHIN_S, seed=1)
    assert ran.found
    assert "AssertionError" in ran.said
    assert list(tmp_path.glob("crash-*"))
