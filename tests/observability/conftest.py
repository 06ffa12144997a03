"""One running Axon whose traces go to a real receiver."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.gateway.conftest import RunningAxon, start_axon, stop, upstream_address
from tests.observability.receiver import Receiver, rotel_program

__all__ = ["upstream_address"]


@dataclass(frozen=True, slots=True)
class Observed:
    """An Axon, and who receives its traces."""

    axon: RunningAxon
    receiver: Receiver


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[Observed]:
    """Both running; skipped where the receiver's package has no program for this machine."""
    program = rotel_program()
    if program is None:
        pytest.skip("rotel, the receiver of traces, has no package for this machine")
    receiver = Receiver(program, tmp_path_factory.mktemp("receiver") / "rotel.log")
    receiver.wait_ready()
    process, axon = start_axon(
        tmp_path_factory.mktemp("observed"),
        upstream_address,
        environment={"AXON_TRACES_ENDPOINT": receiver.endpoint, "AXON_TRACES_RATIO": "1"},
    )
    yield Observed(axon, receiver)
    stop(process)
    receiver.stop()
