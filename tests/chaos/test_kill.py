"""The short kill test; `make chaos` is the long one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import TARGETS, Campaign, run_campaign
from tests.chaos.installation import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    fresh = Installation(folder=tmp_path)
    yield fresh
    fresh.stop()


def test_kills_at_random_moments_lose_nothing(installation: Installation) -> None:
    """Every target once: acknowledged turns lost, doubled, halved or out of order are 0."""
    verdict = run_campaign(Campaign(cycles=len(TARGETS), seed=1), installation, print).verdict
    assert verdict.acknowledged > 0
    assert verdict.kept, verdict.findings()
