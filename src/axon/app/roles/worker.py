"""The worker role alone: drives the engines for gateways in other processes.

Its keyring must be theirs: requests and answers are sealed on their way through Valkey.
"""

import asyncio
import signal
import sys

import uvloop

from axon.app.folders import DataFolder
from axon.app.models import model_table, proxies
from axon.app.roles.log_level import follow_level_signal
from axon.app.roles.told_state import ToldStates
from axon.app.settings import Settings
from axon.base import SystemClock, SystemRandomness, TaskOwner
from axon.inference import EngineMetrics, Engines, ModelTable, WorkerParts, WorkerProcess
from axon.privacy import Redactor
from axon.sealing import Keyring
from axon.stores import Health
from axon.telemetry import configure_log, log

EXIT_BROKEN = 70
"""EX_SOFTWARE of sysexits.h: a part of the worker failed. The supervisor restarts it."""


def run(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT, let running jobs end, give back the rest; blocks.

    Returns the exit code. Valkey may be away at any time, also at the start. Raises AxonError when
    a setting or the keyring is unusable.
    """
    configure_log(sys.stderr, "axon-worker", settings.log.level, Redactor().redact_lines)
    return uvloop.run(_work(settings))


async def _work(settings: Settings) -> int:
    clock, randomness, models = SystemClock(), SystemRandomness(), model_table(settings)
    folder = DataFolder.of(settings)
    keyring = Keyring.open(folder.keyring, randomness)
    engines = Engines(models.served(), clock, proxies())
    process = WorkerProcess(
        WorkerParts(
            url=settings.valkey.url,
            models=models,
            engines=engines,
            secret=keyring.derive("bus"),
            clock=clock,
            randomness=randomness,
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, process.over.set)
    follow_level_signal()
    await process.start()
    await process.serve()
    beside = TaskOwner(_task_failed)
    states = ToldStates(folder.told_states, clock)
    telling = states.keep_telling("worker", lambda: upstreams_health(models, engines))
    beside.start(telling, "tell how it is")
    beside.start(EngineMetrics(models, engines).keep_reading(), "metrics of engines")
    log.info("worker.started", "Working.", axon__worker__id=process.worker_id)
    await process.over.wait()
    await beside.cancel()
    await process.stop(settings.http.drain_s)
    await engines.close()
    log.info("worker.stopped", "Stopped.")
    return EXIT_BROKEN if process.broken else 0


def upstreams_health(models: ModelTable, engines: Engines) -> dict[str, Health]:
    """Return how each upstream of the table is, as its breaker sees it, as `upstream <name>`."""
    return {
        f"upstream {upstream.name}": engines.get(upstream).breaker.health
        for model in models.served()
        for upstream in model.upstreams
    }


def _task_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )
