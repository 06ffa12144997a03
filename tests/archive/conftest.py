"""An archive in a local folder, and a process whose conversations may go there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.sealing import Keyring
from axon.stores import Objects, ObjectsAddress
from tests.archive.scene import Scene
from tests.conversations.scene import Node


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the objects are."""
    return tmp_path / "archive"


@pytest.fixture
async def scene(
    tmp_path: Path, folder: Path, keyring: Keyring, database: str, valkey_url: str
) -> AsyncIterator[Scene]:
    node = Node(tmp_path, keyring, database, valkey_url)
    node.objects = Objects(ObjectsAddress(url=str(folder)))
    process = await node.process()
    yield Scene(process)
    await process.close()
