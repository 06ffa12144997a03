"""What engines say of themselves at `/metrics`, shown under names that stay the same."""

import asyncio
import math

from axon.inference.engines import Engine, Engines
from axon.inference.errors import UpstreamError
from axon.inference.http.fetch import fetch
from axon.inference.models import ModelTable
from axon.telemetry import gauge

READ_EVERY_S = 10.0
TIMEOUT_S = 5.0

_OK = 200
_UPSTREAM = ("upstream",)

_up = gauge("axon_engine_metrics_up", "1 while the engine tells of itself.", _UPSTREAM)
_RUNNING = gauge("axon_engine_requests_running", "Requests the engine works on.", _UPSTREAM)
_WAITING = gauge("axon_engine_requests_waiting", "Requests that wait in the engine.", _UPSTREAM)
_CACHE = gauge("axon_engine_kv_cache_ratio", "How full the engine's KV cache is.", _UPSTREAM)
_ASKED = gauge(
    "axon_engine_prefix_tokens_asked", "Model tokens looked for in its prefix cache.", _UPSTREAM
)
_FOUND = gauge("axon_engine_prefix_tokens_found", "How many of these were there.", _UPSTREAM)

_SHOWN = {
    "vllm:num_requests_running": _RUNNING,
    "vllm:num_requests_waiting": _WAITING,
    "vllm:kv_cache_usage_perc": _CACHE,
    "vllm:prefix_cache_queries_total": _ASKED,
    "vllm:prefix_cache_hits_total": _FOUND,
    "llamacpp:requests_processing": _RUNNING,
    "llamacpp:requests_deferred": _WAITING,
    "llamacpp:kv_cache_usage_ratio": _CACHE,
}


class EngineMetrics:
    """Reads the metrics of those upstreams that have some; one per process that drives engines."""

    def __init__(self, models: ModelTable, engines: Engines) -> None:
        """Nothing is read before `keep_reading`."""
        upstreams = {up.name: up for model in models.served() for up in model.upstreams}
        self._engines = [engines.get(up) for up in upstreams.values() if up.metrics]

    async def keep_reading(self) -> None:
        """Read every READ_EVERY_S until cancelled; returns at once where no engine has any."""
        while self._engines:
            await asyncio.gather(*[self.read(engine) for engine in self._engines])
            await asyncio.sleep(READ_EVERY_S)

    async def read(self, engine: Engine) -> None:
        """Read one engine's once; one that does not answer is shown as not telling."""
        target = engine.pool.target
        try:
            found = await fetch(engine.pool, "GET", f"{target.root}/metrics", b"", TIMEOUT_S)
        except UpstreamError:
            _up.labels(engine.name).set(0)
            return
        _up.labels(engine.name).set(found.status == _OK)
        if found.status == _OK:
            for name, value in sums(found.body).items():
                _SHOWN[name].labels(engine.name).set(value)


def sums(page: bytes) -> dict[str, float]:
    """Return the shown metrics of a page in Prometheus' text format, added up over their labels."""
    found: dict[str, float] = {}
    for line in page.decode(errors="replace").splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name not in _SHOWN:
            continue
        try:
            value = float(line.rpartition("}")[2].split()[0 if "}" in line else 1])
        except (ValueError, IndexError):
            continue  # a line of another form says nothing
        if math.isfinite(value):
            found[name] = found.get(name, 0.0) + value
    return found
