"""Background tasks with an owner: none is lost, none fails in silence."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class TaskOwner:
    """Holds the tasks it starts until they end, and reports those that fail.

    asyncio keeps only weak references to tasks and drops their exceptions; every background
    task in Axon therefore has one of these as its owner.
    """

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        """`on_failure(name, error)` is called, on the loop, once for each task that raises."""
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """Return how many tasks are running."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `work` on the running loop and return its task."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_failure(task.get_name(), error)

    async def finish(self, within_s: float) -> int:
        """Wait at most `within_s` seconds for the running tasks; cancel and count the rest."""
        tasks = set(self._tasks)
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=within_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)

    async def cancel(self) -> None:
        """Cancel every running task and wait until all have ended."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class Irrevocable(asyncio.Future[T]):
    """A future that its waiters cannot cancel: what it stands for comes whatever becomes of them.

    A cancelled waiter goes on waiting, and is cancelled then; see `until_done`.
    """

    __slots__ = ()

    def cancel(self, msg: Any | None = None) -> bool:
        """Change nothing and return False."""
        return False


async def until_done(future: "asyncio.Future[T]") -> T:
    """Return what the future gives or raises, to a caller that is cancelled meanwhile too.

    For what nobody can take back any more and is over soon, an entry on its way to the disk above
    all. The cancellation is not lost: it strikes when its task waits the next time.
    """
    try:
        return await (future if isinstance(future, Irrevocable) else asyncio.shield(future))
    except asyncio.CancelledError:
        if future.cancelled():
            raise
    while not future.done():
        with suppress(asyncio.CancelledError):  # once more: it counts as one
            await asyncio.shield(future)
    if (task := asyncio.current_task()) is not None:
        task.uncancel()  # so that whoever counts, as asyncio.timeout does, still counts one
        task.cancel()
    return future.result()
