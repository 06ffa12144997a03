from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.sealing import Keyring
from tests.experiments.scene import Trying
from tests.flags.flags_scene import FlagsNode


@pytest.fixture
async def trying(
    tmp_path: Path, keyring: Keyring, database: str, valkey_url: str
) -> AsyncIterator[Trying]:
    node = FlagsNode(tmp_path, keyring, database, valkey_url)
    process = await node.process()
    found = Trying(node, process)
    await found.define()
    yield found
    await process.close()
