import asyncio
import gc

import pytest

from axon.base import Irrevocable, TaskOwner, until_done

FINISH_S = 30.0


class Failures:
    def __init__(self) -> None:
        self.seen: list[tuple[str, BaseException]] = []

    def __call__(self, name: str, error: BaseException) -> None:
        self.seen.append((name, error))


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_task_runs_and_is_let_go_when_it_ends() -> None:
    failures = Failures()
    owner = TaskOwner(failures)
    done = asyncio.Event()

    async def work() -> str:
        done.set()
        return "result"

    task = owner.start(work(), "worker")
    assert task.get_name() == "worker"
    assert len(owner) == 1
    assert await task == "result"
    assert done.is_set()
    assert len(owner) == 0
    assert failures.seen == []


async def test_a_task_nobody_else_holds_is_not_collected() -> None:
    owner = TaskOwner(Failures())
    gate = asyncio.Event()
    passed = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        passed.set()

    owner.start(work(), "held")
    await asyncio.sleep(0)
    gc.collect()
    gate.set()
    async with asyncio.timeout(FINISH_S):
        await passed.wait()


async def test_a_failure_is_told_once_with_the_tasks_name() -> None:
    failures = Failures()
    owner = TaskOwner(failures)
    error = ValueError("broken")

    async def work() -> None:
        raise error

    owner.start(work(), "worker")
    assert await owner.finish(FINISH_S) == 0
    assert failures.seen == [("worker", error)]
    assert len(owner) == 0


async def test_finish_waits_for_those_that_end_and_cancels_the_late() -> None:
    failures = Failures()
    owner = TaskOwner(failures)
    ended: list[str] = []
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        ended.append("prompt")

    owner.start(work(), "prompt")
    late = owner.start(for_ever(), "late")
    asyncio.get_running_loop().call_soon(gate.set)
    assert await owner.finish(within_s=0.05) == 1
    assert ended == ["prompt"]
    assert late.cancelled()
    assert failures.seen == []


async def test_finish_counts_nobody_when_nothing_runs() -> None:
    owner = TaskOwner(Failures())
    assert await owner.finish(FINISH_S) == 0
    await owner.cancel()


async def test_cancel_returns_after_every_task_has_cleaned_up() -> None:
    failures = Failures()
    owner = TaskOwner(failures)
    cleaned: list[int] = []

    async def work(number: int) -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(number)

    for number in range(3):
        owner.start(work(number), f"worker {number}")
    await asyncio.sleep(0)
    await owner.cancel()
    assert sorted(cleaned) == [0, 1, 2]
    assert len(owner) == 0
    assert failures.seen == []


async def test_a_failure_while_being_cancelled_is_told() -> None:
    failures = Failures()
    owner = TaskOwner(failures)

    async def work() -> None:
        try:
            await for_ever()
        finally:
            raise ValueError("broken on the way out")

    owner.start(work(), "worker")
    await asyncio.sleep(0)
    await owner.cancel()
    [(name, error)] = failures.seen
    assert name == "worker"
    with pytest.raises(ValueError, match="on the way out"):
        raise error


@pytest.mark.parametrize("kind", [asyncio.Future, Irrevocable])
async def test_what_cannot_be_taken_back_is_waited_for_and_then_the_caller_goes(
    kind: type[asyncio.Future[str]],
) -> None:
    future = kind()
    seen: list[str] = []

    async def work() -> None:
        seen.append(await until_done(future))
        await asyncio.sleep(0)
        seen.append("still there")

    task = asyncio.ensure_future(work())
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    future.set_result("durable")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["durable"]


@pytest.mark.parametrize("kind", [asyncio.Future, Irrevocable])
async def test_a_timeout_meanwhile_is_still_a_timeout(kind: type[asyncio.Future[str]]) -> None:
    future = kind()
    asyncio.get_running_loop().call_later(0.02, future.set_result, "durable")
    seen: list[str] = []

    async def work() -> None:
        async with asyncio.timeout(0.001):
            seen.append(await until_done(future))
            await for_ever()

    with pytest.raises(TimeoutError):
        await work()
    assert seen == ["durable"]


@pytest.mark.parametrize("kind", [asyncio.Future, Irrevocable])
async def test_what_fails_meanwhile_fails_for_who_waits_until_it_is_done(
    kind: type[asyncio.Future[str]],
) -> None:
    future = kind()
    task = asyncio.ensure_future(until_done(future))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    future.set_exception(ValueError("the disk"))
    with pytest.raises(ValueError, match="the disk"):
        await task


async def test_what_is_cancelled_itself_cancels_who_waits_once() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.cancel)
    with pytest.raises(asyncio.CancelledError):
        await until_done(future)
    await asyncio.sleep(0)
