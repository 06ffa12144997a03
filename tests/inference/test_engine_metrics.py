"""What engines say of themselves is shown under our own names."""

from dataclasses import replace

from axon.base import SystemClock
from axon.inference import EngineMetrics, Engines, Model, ModelTable, Upstream
from axon.inference.engine_metrics import sums
from axon.telemetry import render_metrics
from tests.inference.raw_server import RawServer

PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m{x}"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0 1790000000
vllm:num_requests_waiting{engine="0"} nan
vllm:kv_cache_usage_perc{engine="0"} 0.25
llamacpp:requests_deferred 2
vllm:num_requests_waiting{engine="0"} many
vllm:num_requests_waiting
secrets:of_the_engine 7
"""


def shown(name: str) -> float | None:
    for line in render_metrics().decode().splitlines():
        if line.startswith(f'{name}{{upstream="raw-metrics"}}'):
            return float(line.split()[-1])
    return None


def test_values_are_added_up_over_labels_and_what_is_no_number_is_none() -> None:
    assert sums(PAGE) == {
        "vllm:num_requests_running": 7.0,
        "vllm:kv_cache_usage_perc": 0.25,
        "llamacpp:requests_deferred": 2.0,
    }


async def test_an_engines_metrics_are_shown_and_its_silence_too() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
    async with RawServer(answer, None) as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        upstream = Upstream(name="raw-metrics", base_url=url, model="m", metrics=True)
        silent = replace(upstream, name="silent", metrics=False)
        model = Model(
            alias="m", context_window=1000, output_tokens_max=0, upstreams=(upstream, silent)
        )
        table = ModelTable((model,))
        engines = Engines(table.served(), SystemClock())
        metrics = EngineMetrics(table, engines)
        await metrics.read(engines.get(upstream))
        assert shown("axon_engine_requests_running") == 7.0
        assert shown("axon_engine_metrics_up") == 1.0
        await metrics.read(engines.get(upstream))
        assert shown("axon_engine_metrics_up") == 0.0
        assert server.requests[0].startswith(b"GET /metrics HTTP/1.1")
        await engines.close()
