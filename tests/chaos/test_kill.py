"""The short kill test, and the one bug it must notice; `make chaos` is the long campaign."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign, Outcome, run_campaign
from tests.chaos.installation import ENGINE, POWER, ROOT, Installation

TARGETS = (("serving", ENGINE), ("postgres", "valkey"), (POWER,))
"""Every process at least once, in few cycles; the projector dies with the power."""

Targets = tuple[tuple[str, ...], ...]
Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run a campaign, each target once, with these faults planted in Axon's processes."""
    installation = Installation(folder=tmp_path, python_path=(ROOT / "tests/chaos/planted",))

    def campaign_with(planted: str, targets: Targets, sync_takes_s: str = "0.4") -> Outcome:
        installation.environment = {"PLANTED": planted, "SYNC_TAKES_S": sync_takes_s}
        campaign = Campaign(cycles=len(targets), seed=1, targets=targets, quiet_max_s=0.6)
        return run_campaign(campaign, installation, print)

    yield campaign_with
    installation.stop()


@pytest.mark.failure("engine", "down")
@pytest.mark.failure("journal-disk", "slow")
def test_kills_and_a_power_loss_take_nothing_that_was_acknowledged(run: Run) -> None:
    """Acknowledged turns lost, doubled, halved or out of order are 0."""
    outcome = run("slow-fsync", TARGETS)
    assert outcome.unsynced_bytes > 0  # or the power loss took nothing, and proved nothing
    assert outcome.verdict.acknowledged > 0
    assert outcome.verdict.kept, outcome.verdict.findings()


def test_an_acknowledgement_before_the_fsync_is_found(run: Run) -> None:
    """The negative control: without it, finding nothing above would mean nothing."""
    outcome = run("slow-fsync,early-acknowledgement", ((POWER,),), sync_takes_s="1.5")
    assert outcome.verdict.lost
