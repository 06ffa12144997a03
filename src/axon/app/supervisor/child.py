"""One running process, watched from the event loop."""

import asyncio
import os
import subprocess

from axon.app.embedded.process import Program, kill, launch, send, thaw


class Child:
    """A process started from `program`; call everything on the loop of the main thread."""

    def __init__(self, program: Program) -> None:
        """Start the process; raises OSError. It dies with this one."""
        self.program = program
        self._process: subprocess.Popen[bytes] = launch(program)
        self._watch = os.pidfd_open(self._process.pid)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._watch, self._reap)

    @property
    def pid(self) -> int:
        """Return the process id; it stays the same after the end."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether the process has not ended."""
        return not self._ended.is_set()

    async def wait(self) -> int:
        """Return the exit code once the process has ended; a signal's is negative."""
        await self._ended.wait()
        return self._process.wait()

    async def stop(self) -> None:
        """Ask the process to end; kill it with its children when it takes too long."""
        if self.alive:
            thaw(self.pid)
            send(self.pid, self.program.stop_signal)
            try:
                await asyncio.wait_for(self._ended.wait(), self.program.stop_within_s)
            except TimeoutError:
                self.kill()
                await self._ended.wait()

    def kill(self) -> None:
        """Kill the process and its children at once."""
        if self.alive:
            kill(self.pid)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watch)
        os.close(self._watch)
        self._process.wait()
        self._ended.set()
