"""What the journals add to a backup, and what is said when they cannot."""

from pathlib import Path

import pytest

from axon.app.backup import Allowed
from axon.app.backup.errors import (
    EntriesMissing,
    JournalNotTheBackups,
)
from tests.app.backup_scene import (
    INSTANCE,
    Scene,
    places,
    records,
)

REPLACE = Allowed(replace=True, accept_loss=False)
LOSS = Allowed(replace=True, accept_loss=True)


@pytest.fixture
def scene(tmp_path: Path, database: str) -> Scene:
    return Scene.at(tmp_path, database)


async def test_entries_that_nobody_has_are_named_and_refused(scene: Scene) -> None:
    backup, gone = await _with_missing_entries(scene)
    with pytest.raises(EntriesMissing, match=rf"{INSTANCE}: entries 3 to {gone}\)"):
        await scene.restore(backup, REPLACE)
    assert await scene.items() == sorted([*places(1, 60), *places(1, 20, "conv_b")])


async def test_an_accepted_loss_is_only_what_is_missing(scene: Scene) -> None:
    backup, gone = await _with_missing_entries(scene)
    restored = await scene.restore(backup, LOSS)
    assert [list(one.missing) for one in restored.lost] == [list(range(3, gone + 1))]
    assert restored.shortened == 1
    assert await scene.project() == 0
    await scene.write(records(61, 62))
    assert await scene.project() == 0
    kept = [*places(1, 2), *places(gone + 1, 62), *places(1, 20, "conv_b")]
    assert await scene.items() == sorted(kept)


async def _with_missing_entries(scene: Scene) -> tuple[Path, int]:
    """Return a backup of two entries, and the last of those that were deleted since."""
    await scene.write(records(1, 2))
    await scene.project()
    backup = await scene.back_up()
    await scene.write([*records(3, 60), *records(1, 20, "conv_b")])
    await scene.project()
    assert await scene.retire(50)
    first = min(int(path.stem) for path in scene.journal.glob("*.segment"))
    assert 3 < first <= 51
    return backup, first - 1


async def test_a_journal_that_has_less_than_the_backup_is_refused(scene: Scene) -> None:
    await scene.write(records(1, 5))
    await scene.project()
    backup = await scene.back_up()
    for path in scene.journal.iterdir():
        path.unlink()
    await scene.write(records(1, 2))
    with pytest.raises(JournalNotTheBackups, match="ends at 2, the backup has 5"):
        await scene.restore(backup, LOSS)
