"""One serving process without `axon up`: its stores are the test session's, which may be away."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon.app.administration import development_key
from axon.app.embedded.folders import private_folder
from axon.app.folders import DataFolder
from axon.app.sockets import free_port

READY_WITHIN_S = 60.0
"""Ends a wait that has already failed; nothing is measured against it."""


@dataclass(slots=True, kw_only=True)
class LoneServing:
    """`axon serve --role gateway,worker`, with what it needs in its environment."""

    data: Path
    database: str
    valkey: str
    upstream: str
    settings: dict[str, str] = field(default_factory=dict)
    """More variables, by their names."""
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def origin(self) -> str:
        """Return its address without the API's prefix."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables every command of this installation gets."""
        return {
            **os.environ,
            "AXON_DATA": str(self.data),
            "AXON_DATABASE_URL": self.database,
            "AXON_VALKEY_URL": self.valkey,
            "AXON_UPSTREAM_URL": self.upstream,
            "AXON_HTTP_PORT": str(self.port),
            **self.settings,
        }

    def new_key(self) -> str:
        """Return the secret of an API key that PostgreSQL knows; PostgreSQL must be there."""
        with ThreadPoolExecutor(1) as outside_of_any_loop:
            folder = DataFolder(private_folder(self.data))
            made = development_key(folder, self.database)
            return outside_of_any_loop.submit(asyncio.run, made).result()

    def start(self, stderr: int | None = None) -> None:
        """Start it; returns at once. Its log goes to `stderr`, by default to a file."""
        self.port = self.port or free_port(self.data)
        command = [sys.executable, "-m", "axon.app.cli", "serve", "--role", "gateway,worker"]
        with (self.data / "serving.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment(), stderr=log if stderr is None else stderr
            )

    def ask(self, path: str, secret: str = "", body: object = None) -> tuple[int, bytes]:
        """Return status and body of one call; status 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_WITHIN_S)
        headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            connection.request("GET" if data is None else "POST", path, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def wait_until(self, status: int, path: str, secret: str = "") -> float:
        """Wait until the path answers with this status; return the seconds that took."""
        began = time.monotonic()
        while (found := self.ask(path, secret))[0] != status:
            assert self.process is not None and self.process.poll() is None, self.log()
            assert time.monotonic() - began < READY_WITHIN_S, f"{found}\n{self.log()}"
            time.sleep(0.02)
        return time.monotonic() - began

    def status(self) -> dict[str, Any]:
        """Return what `GET /status` says."""
        found: dict[str, Any] = json.loads(self.ask("/status")[1])
        return found

    def wait_well(self, dependency: str) -> None:
        """Wait until the dependency is no degraded mode any more."""
        began = time.monotonic()
        while dependency in (found := self.status())["degraded"]:
            assert time.monotonic() - began < READY_WITHIN_S, found
            time.sleep(0.02)

    def log(self) -> str:
        """Return the end of its log."""
        return (self.data / "serving.log").read_text(errors="replace")[-3000:]

    def stop(self) -> int:
        """Stop it as its supervisor would; return the exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        code = self.process.wait(READY_WITHIN_S)
        self.process = None
        return code
