import io
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from axon.sealing import Keyring
from axon.telemetry import configure_log, log
from tests.conversations.scene import Node, Process


@pytest.fixture
def node(tmp_path: Path, keyring: Keyring, database: str, valkey_url: str) -> Node:
    return Node(tmp_path, keyring, database, valkey_url)


@pytest.fixture
async def process(node: Node) -> AsyncIterator[Process]:
    process = await node.process()
    yield process
    await process.close()


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[str]]]:
    """A function that returns the log lines written so far in this test."""
    stream = io.StringIO()
    configure_log(stream, "test", "info")

    def lines() -> list[str]:
        assert log.flush(5.0)
        return stream.getvalue().splitlines()

    yield lines
    configure_log(sys.stderr, "axon", "info")
