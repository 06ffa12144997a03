"""One running Axon with all that can be watched, whose traces go to a real receiver."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.gateway.conftest import RunningAxon, start_axon, stop, upstream_address
from tests.observability.exporters import Exporters, exporting
from tests.observability.receiver import Receiver, rotel_program

__all__ = ["upstream_address"]

_SETTINGS = """
[alerts]
look_every_s = 1.0
[retrieval]
url = "http://{exporters}/search"
[privacy]
engine_input = true
[safety.levels.noted]
input = "flag"
output = "flag"
[[models.gpu.upstreams]]
name = "vllm"
base_url = "http://{exporters}/v1"
metrics = true
"""
"""No turn asks the model `gpu`; its upstream only tells of itself."""


@dataclass(frozen=True, slots=True)
class Observed:
    """An Axon, who receives its traces, and the exporters beside it."""

    axon: RunningAxon
    receiver: Receiver
    exporters: Exporters


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[Observed]:
    """Both running; skipped where the receiver's package has no program for this machine."""
    program = rotel_program()
    if program is None:
        pytest.skip("rotel, the receiver of traces, has no package for this machine")
    receiver = Receiver(program, tmp_path_factory.mktemp("receiver") / "rotel.log")
    receiver.wait_ready()
    with exporting() as exporters:
        folder = tmp_path_factory.mktemp("observed")
        config = folder / "axon.toml"
        config.write_text(_SETTINGS.format(exporters=exporters.address))
        process, axon = start_axon(
            folder / "data",
            upstream_address,
            *("--config", str(config)),
            environment={"AXON_TRACES_ENDPOINT": receiver.endpoint, "AXON_TRACES_RATIO": "1"},
        )
        yield Observed(axon, receiver, exporters)
        stop(process)
    receiver.stop()
