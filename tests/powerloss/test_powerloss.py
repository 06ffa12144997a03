"""The short power loss test, and the bug it must notice; `make powerloss` is the long campaign."""

from pathlib import Path

import pytest

from tests.chaos.campaign import Outcome
from tests.powerloss.loop_disk import CannotMount
from tests.powerloss.run import BUG, SLOW, lose_power, power_losses


def outcome_of(folder: Path, cycles: int, planted: dict[str, str]) -> Outcome:
    try:
        return lose_power(folder, power_losses(cycles, seed=1), planted)
    except CannotMount as error:
        pytest.skip(f"{CannotMount.__doc__} {error}")


@pytest.mark.failure("journal-disk", "down")
def test_a_power_loss_under_the_whole_data_folder_takes_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    """Journal, key store, snapshot and PostgreSQL are all on the disk that loses its power."""
    slower = {**SLOW, "SYNC_TAKES_S": "0.5"}  # one loss must find something, also when all is slow
    outcome = outcome_of(tmp_path, 1, slower)  # and once more before the second reading
    assert outcome.unsynced_bytes > 0  # or the power loss took nothing, and proved nothing
    assert outcome.verdict.acknowledged > 0
    assert outcome.verdict.kept, outcome.verdict.findings()


def test_an_acknowledgement_before_the_fsync_is_lost_with_the_power(tmp_path: Path) -> None:
    """The negative control: without it, finding nothing above would mean nothing."""
    assert outcome_of(tmp_path, 1, BUG).verdict.lost
