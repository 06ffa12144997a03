"""The short campaign of freezes; `make freezes` is the long one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.installation import Installation
from tests.failures.campaign import Freezes, figures, run_freezes
from tests.failures.freezes import LINES_MAX


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(folder=tmp_path)
    yield made
    made.stop()


@pytest.mark.failure("valkey", "frozen")
@pytest.mark.failure("postgresql", "frozen")
@pytest.mark.failure("engine", "frozen")
def test_freezes_under_load_fail_no_request_and_lose_nothing(installation: Installation) -> None:
    outcome = run_freezes(Freezes(rounds=1, frozen_s=3.0, people=16), installation, print)
    print(*figures(outcome), sep="\n")
    assert [one.error for one in outcome.failed] == []
    assert outcome.verdict.acknowledged > 0
    assert outcome.verdict.kept, outcome.verdict.findings()
    for one in outcome.freezes:
        assert len(one.lines) <= LINES_MAX, one.lines
    (valkey,) = [one for one in outcome.freezes if one.target == "valkey"]
    said = [line for line in valkey.lines if "valkey is" in line]
    assert "valkey is back" in said[-1]
    assert 2 <= len(said) <= 3, "no answer, then no new connection, then back"
