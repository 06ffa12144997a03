from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.sealing import Keyring
from tests.flags.flags_scene import FlagsNode, KeepingFlags


@pytest.fixture
def node(tmp_path: Path, keyring: Keyring, database: str, valkey_url: str) -> FlagsNode:
    return FlagsNode(tmp_path, keyring, database, valkey_url)


@pytest.fixture
async def process(node: FlagsNode) -> AsyncIterator[KeepingFlags]:
    found = await node.process()
    yield found
    await found.close()
