"""An OpenTelemetry collector that keeps whatever it is sent."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAIT_S = 60


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, TraceKeeper)
        server.batches.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class TraceKeeper(ThreadingHTTPServer):
    """The collector, and the batches as they came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.batches: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def told(self, turns: set[str]) -> str:
        """Return all it was sent, once it has the traces of these turns."""
        give_up = time.monotonic() + WAIT_S
        while True:
            text = "\n".join(self.batches)
            missing = [turn for turn in turns if turn not in text]
            if not missing:
                return text
            assert time.monotonic() < give_up, f"no trace of {missing[:3]}"
            time.sleep(0.05)


@contextmanager
def keeping_traces() -> Iterator[TraceKeeper]:
    """Run the collector in a thread."""
    with TraceKeeper() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
