"""The running Axon of the gateway's tests serves these too, and each file may have its own."""

from collections.abc import Iterator

import pytest

from tests.gateway.conftest import (
    RunningAxon,
    axon,
    client,
    start_axon,
    stop,
    upstream_address,
)

__all__ = ["axon", "client", "own_axon", "upstream_address"]


@pytest.fixture(scope="module")
def own_axon(
    tmp_path_factory: pytest.TempPathFactory, upstream_address: str
) -> Iterator[RunningAxon]:
    """An Axon of this file alone, which may be hurt."""
    process, running = start_axon(tmp_path_factory.mktemp("own"), upstream_address)
    yield running
    stop(process)
