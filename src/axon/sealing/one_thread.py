"""The one thread that may use the file of keys."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


class OneThread:
    """Runs what blocks, one thing after another."""

    def __init__(self) -> None:
        """The thread begins with its first work."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keys")

    async def run(self, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Return what `work` returns, once the thread has come to it; raises what it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Wait for what is being done."""
        self._thread.shutdown()
