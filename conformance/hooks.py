"""Commands that hurt the server or its storage, given by whoever runs the suite."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from conformance.verdicts import Failed, NoHook

HOOK_TIMEOUT_S = 90.0
"""A restart may load a model; a stall or a kill takes no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """One shell command each; an empty one makes the checks that want it be skipped."""

    stall: str = ""
    heal: str = ""
    kill: str = ""
    restart: str = ""

    def want(self, *names: str) -> None:
        """Raise NoHook unless every named hook was given."""
        missing = [f"--hook-{name}" for name in names if not getattr(self, name)]
        if missing:
            raise NoHook("no " + ", ".join(missing))

    @contextlib.asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        """Stall the storage for the length of the block; it is healed whatever happens."""
        await run(self.stall)
        try:
            yield
        finally:
            await run(self.heal)

    async def kill_and_restart(self) -> None:
        """Kill the server and start it again; returns when the restart command has ended."""
        try:
            await run(self.kill)
        finally:
            await run(self.restart)


async def run(command: str) -> None:
    """Run one command in a shell; raises Failed when it ends badly or not in time."""
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        code = await asyncio.wait_for(process.wait(), HOOK_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        raise Failed(f"the hook did not end in {HOOK_TIMEOUT_S:.0f} s: {command}") from None
    if code != 0:
        raise Failed(f"the hook ended with {code}: {command}")
