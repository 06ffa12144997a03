"""What stands beside Axon and is scraped with it: vLLM's metrics and those of NVIDIA's DCGM
exporter, by their own names and labels, and the retriever that flags may ask."""

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MODEL = '{engine="0",model_name="llama"}'
_GPU = (
    '{gpu="0",UUID="GPU-1b2c",pci_bus_id="00000000:01:00.0",device="nvidia0",'
    'modelName="NVIDIA H100 80GB HBM3",Hostname="g1"}'
)
_VLLM = {
    "vllm:num_requests_running": "gauge",
    "vllm:num_requests_waiting": "gauge",
    "vllm:kv_cache_usage_perc": "gauge",
    "vllm:prefix_cache_queries_total": "counter",
    "vllm:prefix_cache_hits_total": "counter",
}
_DCGM = (
    *("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"),
    *("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_XID_ERRORS"),
)
_PASSAGES = {"passages": [{"text": "A passage.", "source": "a page"}]}


def vllm_page(scrape: int) -> str:
    """Return vLLM's page as this scrape sees it: counters rise, a third of what is asked hits."""
    lines = []
    for name, kind in _VLLM.items():
        family = name.removesuffix("_total")
        value = {"gauge": 0.5, "counter": scrape * (1 if "hits" in name else 3)}[kind]
        lines += [
            f"# HELP {family} From vLLM.",
            f"# TYPE {family} {kind}",
            f"{name}{_MODEL} {value}",
        ]
    return "\n".join([*lines, ""])


def dcgm_page(scrape: int) -> str:
    """Return the page of DCGM's exporter, a healthy GPU."""
    lines = []
    for name in _DCGM:
        value = 0 if name.endswith("XID_ERRORS") else 40 + scrape % 3
        lines += [f"# HELP {name} From DCGM.", f"# TYPE {name} gauge", f"{name}{_GPU} {value}"]
    return "\n".join([*lines, ""])


PAGES = {"/metrics": vllm_page, "/dcgm": dcgm_page}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Exporters)
        page = PAGES.get(self.path)
        self._answer(404 if page is None else 200, page(next(server.scrapes)) if page else "")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(200, json.dumps(_PASSAGES))

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header(
            "content-type", "text/plain; version=0.0.4" if text[:1] == "#" else "application/json"
        )
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Exporters(ThreadingHTTPServer):
    """All of them behind one port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scrapes = itertools.count(1)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@contextmanager
def exporting() -> Iterator[Exporters]:
    """Run them in a thread."""
    with Exporters() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
