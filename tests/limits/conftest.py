from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.sealing import Keyring
from tests.conversations.scene import Node
from tests.limits.scene import Admitting


@pytest.fixture
def node(tmp_path: Path, keyring: Keyring, database: str, valkey_url: str) -> Node:
    return Node(tmp_path, keyring, database, valkey_url)


@pytest.fixture
async def admitting(node: Node) -> AsyncIterator[Admitting]:
    """One process that admits turns, and the administration of its limits."""
    found = await Admitting.started(node)
    yield found
    await found.close()
