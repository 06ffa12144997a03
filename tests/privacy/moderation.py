"""A moderation endpoint of OpenAI's shape: it flags what has `verboten` in it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server
        assert isinstance(server, Moderation)
        server.asked.append(asked)
        flagged = "verboten" in asked["input"]
        said = {"flagged": flagged, "categories": {"hate": flagged, "violence": False}}
        body = json.dumps({"results": [said]}).encode()
        self.send_response(500 if server.broken else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Moderation(ThreadingHTTPServer):
    """The endpoint; `broken` makes it fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.broken = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/moderations"


@contextmanager
def moderating() -> Iterator[Moderation]:
    """Run the endpoint in a thread."""
    with Moderation() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
