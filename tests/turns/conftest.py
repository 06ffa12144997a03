from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.sealing import Keyring
from tests.conversations.scene import Node, Process


@pytest.fixture
def node(tmp_path: Path, keyring: Keyring, database: str, valkey_url: str) -> Node:
    return Node(tmp_path, keyring, database, valkey_url)


@pytest.fixture
async def process(node: Node) -> AsyncIterator[Process]:
    process = await node.process()
    yield process
    await process.close()
