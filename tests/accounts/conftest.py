"""The accounts' tests run on a scene with real PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.sealing import Keyring
from tests.accounts.scene import Office, Scene


@pytest.fixture
async def scene(database: str, keyring: Keyring, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(database=database, keyring=keyring, folder=tmp_path)
    yield scene
    await scene.close()


@pytest.fixture
async def office(scene: Scene) -> AsyncIterator[Office]:
    postgres = await scene.postgres()
    yield await Office.open(scene, postgres)
    await postgres.stop()
