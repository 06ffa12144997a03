"""The power fails while fsyncs are under way; and the same with the one bug that must show."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, Outcome, run_campaign
from tests.chaos.installation import POWER, ROOT, Installation

CampaignWith = Callable[[str], Outcome]


@pytest.fixture
def campaign_with(tmp_path: Path) -> Iterator[CampaignWith]:
    """A campaign of power losses with these faults planted in Axon's processes."""
    installation = Installation(folder=tmp_path, python_path=(ROOT / "tests/chaos/planted",))

    def run(planted: str) -> Outcome:
        installation.environment = {"PLANTED": planted}
        return run_campaign(Campaign(cycles=1, seed=1, targets=((POWER,),)), installation, print)

    yield run
    installation.stop()


def test_a_power_loss_takes_nothing_that_was_acknowledged(campaign_with: CampaignWith) -> None:
    outcome = campaign_with("slow-fsync")
    assert outcome.unsynced_bytes > 0  # or it would have proven nothing
    assert outcome.verdict.acknowledged > 0
    assert outcome.verdict.kept, outcome.verdict.findings()


def test_an_acknowledgement_before_the_fsync_is_found(campaign_with: CampaignWith) -> None:
    """The negative control: what the oracle cannot see, its silence does not deny."""
    outcome = campaign_with("slow-fsync,early-acknowledgement")
    assert outcome.verdict.lost
