from pathlib import Path

import pytest

from tests.projection.scene import LedgerRoom, Scene


@pytest.fixture
async def ledger(database: str) -> LedgerRoom:
    room = LedgerRoom("ledger")
    await room.create(database)
    return room


@pytest.fixture
async def other(database: str) -> LedgerRoom:
    room = LedgerRoom("other")
    await room.create(database)
    return room


@pytest.fixture
def scene(database: str, tmp_path: Path, ledger: LedgerRoom, other: LedgerRoom) -> Scene:
    return Scene(database, tmp_path / "journals", [ledger, other])
