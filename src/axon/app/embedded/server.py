"""A server held by a plain handle: for tests and benchmarks that stop, freeze and kill it."""

import asyncio
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from axon.app.embedded.process import Program, freeze, kill, last_words, launch, send, thaw
from axon.base import AxonError

START_WITHIN_S = 60.0
"""Far longer than any start; a crash recovery under test may take seconds."""

_POLL_S = 0.01


class ServerFailed(AxonError):
    """An embedded server ended, or did not become ready in time."""


class EmbeddedServer:
    """One running program; every method blocks. Call it from the main thread (see launch)."""

    def __init__(self, program: Program, url: str) -> None:
        """Describe the server; `start` runs it."""
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self.url = url

    @property
    def pid(self) -> int:
        """Return the id of the running process; raises ServerFailed when none runs."""
        if self._process is None or self._process.poll() is not None:
            raise ServerFailed(f"{self._program.role} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Return whether the process lives; a frozen one does."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it is ready; raises ServerFailed."""
        if not self.running:
            self._program.before_start()
            self._process = launch(self._program)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the running server answers; raises ServerFailed."""
        deadline = time.monotonic() + START_WITHIN_S
        with ThreadPoolExecutor(1) as outside_of_any_loop:
            while not outside_of_any_loop.submit(asyncio.run, self._probe()).result():
                if not self.running or time.monotonic() > deadline:
                    raise ServerFailed(f"{self._program.role}: {last_words(self._program)}")
                time.sleep(_POLL_S)

    async def _probe(self) -> bool:
        return await self._program.is_ready()

    def stop(self) -> None:
        """Shut the server down in its own way; kill it when it takes too long."""
        if self._process is None:
            return
        if self._process.poll() is None:
            thaw(self._process.pid)
            send(self._process.pid, self._program.stop_signal)
            try:
                self._process.wait(self._program.stop_within_s)
            except subprocess.TimeoutExpired:
                kill(self._process.pid)
        self._process.wait()

    def kill(self) -> None:
        """Kill the server and its children with SIGKILL, frozen or not."""
        if self._process is not None and self._process.poll() is None:
            kill(self._process.pid)
            self._process.wait()

    def restart(self) -> None:
        """Start again at the same address; stops what runs first."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the server and its children with SIGSTOP: connections stay open and hang."""
        freeze(self.pid)

    def thaw(self) -> None:
        """Let a frozen server run on."""
        thaw(self.pid)

    def ensure(self) -> None:
        """Make sure that the server runs and answers, whatever a test did to it."""
        if self.running:
            self.thaw()
        self.start()
