"""The short restart behind a journal PostgreSQL lacks; `make restart` is the long one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from axon.base import MIB
from tests.chaos.installation import Installation
from tests.failures.restart import ENVIRONMENT, run_restart


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(folder=tmp_path, environment=ENVIRONMENT)
    yield made
    made.stop()


def test_a_node_serves_before_postgresql_has_caught_up(installation: Installation) -> None:
    found = run_restart(30 * MIB, installation, print)
    print(*found.lines(), sep="\n")
    assert found.journal_bytes >= 30 * MIB
    assert found.entries >= 2 * found.verdict.acknowledged > 0
    assert found.verdict.kept, found.verdict.findings()
