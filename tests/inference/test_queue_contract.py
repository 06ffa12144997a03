"""What every JobQueue with its JobSource keeps to: in one process, and over Valkey."""

from collections.abc import AsyncIterator, Callable

import pytest

from axon.inference import Delivery, LocalQueue, QueueFull
from tests.inference.ends import Ends, LocalEnds, ValkeyEnds, finish, job, put, until

NewEnds = Callable[[int], Ends]


@pytest.fixture(params=["local", "valkey"])
def new_ends(request: pytest.FixtureRequest) -> NewEnds:
    if request.param == "local":
        return LocalEnds
    url = request.getfixturevalue("valkey_url")
    return lambda jobs_waiting_max: ValkeyEnds(jobs_waiting_max, url)


@pytest.fixture
async def ends(new_ends: NewEnds) -> AsyncIterator[Ends]:
    async with new_ends(100) as made:
        yield made


def turns(taken: list[Delivery]) -> list[str]:
    return [delivery.job.turn_id for delivery in taken]


async def has(taken: list[Delivery], *turn_ids: str) -> None:
    """Wait until these jobs were taken, in this order and no other."""
    await until(lambda: len(taken) >= len(turn_ids))
    assert turns(taken) == list(turn_ids)


async def test_a_free_slot_has_the_job(ends: Ends) -> None:
    taken: list[Delivery] = []
    ends.source.consume("m", 1, taken.append)
    one = job("1")
    put(ends, one)
    await has(taken, "1")
    got = taken[0]
    assert (got.job.fields, got.job.model, got.attempt) == (one.fields, one.model, 1)
    assert got.job.deadline == pytest.approx(one.deadline)


async def test_jobs_come_in_order_and_never_more_than_slots(ends: Ends) -> None:
    taken: list[Delivery] = []
    put(ends, job("1"))
    ends.source.consume("m", 2, taken.append)
    for turn_id in "2345":
        put(ends, job(turn_id))
    await has(taken, "1", "2")
    await ends.quiet()
    await has(taken, "1", "2")
    finish(ends, taken[1])
    await has(taken, "1", "2", "3")
    await ends.quiet()
    finish(ends, taken[0])
    finish(ends, taken[2])
    await has(taken, "1", "2", "3", "4", "5")


async def test_lanes_do_not_wait_for_each_other(ends: Ends) -> None:
    taken: list[Delivery] = []
    ends.source.consume("a", 1, taken.append)
    ends.source.consume("b", 1, taken.append)
    for turn_id, lane in (("1", "a"), ("2", "a"), ("3", "b")):
        put(ends, job(turn_id, lane))
    await until(lambda: sorted(turns(taken)) == ["1", "3"])


@pytest.mark.failure("queue", "full")
async def test_a_lane_has_a_bound(new_ends: NewEnds) -> None:
    async with new_ends(2) as ends:
        taken: list[Delivery] = []
        ends.source.consume("m", 1, taken.append)
        fits = 2 + (ends.beyond_bound or 1)
        for number in range(fits):
            put(ends, job(str(number)))
        with pytest.raises(QueueFull):
            put(ends, job("one too many"))
        put(ends, job("elsewhere", "other"))
        await has(taken, "0")
        finish(ends, taken[0])
        await has(taken, "0", "1")
        put(ends, job("again"))


async def test_a_dead_workers_jobs_are_anothers(ends: Ends) -> None:
    dead: list[Delivery] = []
    consumer = ends.source.consume("m", 3, dead.append)
    for turn_id in "1234":
        put(ends, job(turn_id))
    await has(dead, "1", "2", "3")
    finish(ends, dead[1])
    await has(dead, "1", "2", "3", "4")
    put(ends, job("5"))
    consumer.close()
    taken: list[Delivery] = []
    ends.source.consume("m", 10, taken.append)
    await until(lambda: len(taken) == 4)
    attempts = {delivery.job.turn_id: delivery.attempt for delivery in taken}
    assert attempts == {"1": 2, "3": 2, "4": 2, "5": 1}
    if ends.again_first:
        assert turns(taken) == ["1", "3", "4", "5"]


async def test_a_dead_worker_cannot_end_a_job_that_is_anothers(ends: Ends) -> None:
    dead: list[Delivery] = []
    consumer = ends.source.consume("m", 1, dead.append)
    put(ends, job("1"))
    await has(dead, "1")
    consumer.close()
    taken: list[Delivery] = []
    second = ends.source.consume("m", 1, taken.append)
    await has(taken, "1")
    dead[0].done()
    dead[0].give_back()
    second.close()
    ends.source.consume("m", 1, taken.append)
    await has(taken, "1", "1")


async def test_a_job_given_back_is_delivered_again(ends: Ends) -> None:
    taken: list[Delivery] = []
    ends.source.consume("m", 1, taken.append)
    put(ends, job("1"))
    await has(taken, "1")
    if ends.again_first:
        put(ends, job("2"))
    taken[0].give_back()
    await has(taken, "1", "1")
    assert taken[1].attempt == 2


async def test_a_draining_worker_keeps_what_it_has(ends: Ends) -> None:
    taken: list[Delivery] = []
    consumer = ends.source.consume("m", 2, taken.append)
    put(ends, job("1"))
    await has(taken, "1")
    consumer.drain()
    await ends.quiet()
    put(ends, job("2"))
    await ends.quiet()
    await has(taken, "1")
    finish(ends, taken[0])
    consumer.close()
    later: list[Delivery] = []
    ends.source.consume("m", 2, later.append)
    await has(later, "2")


async def test_a_waiting_job_can_be_cancelled(ends: Ends) -> None:
    taken: list[Delivery] = []
    ends.source.consume("m", 1, taken.append)
    for turn_id in "123":
        put(ends, job(turn_id))
    await has(taken, "1")
    await ends.quiet()
    ends.queue.forget("2")
    ends.bus.cancel("2")
    assert not ends.queue.forget("2")
    assert not ends.queue.forget("1")
    await ends.quiet()
    finish(ends, taken[0])
    await has(taken, "1", "3")


async def test_jobs_that_end_at_once_do_not_nest(new_ends: NewEnds) -> None:
    """Many jobs wait; a worker that ends each at once must not run out of stack."""
    async with new_ends(5000) as ends:
        jobs = 5000 if ends.again_first else 300
        for number in range(jobs):
            put(ends, job(str(number)))
        seen: list[str] = []

        def refuse(delivery: Delivery) -> None:
            seen.append(delivery.job.turn_id)
            finish(ends, delivery)

        ends.source.consume("m", 1, refuse)
        await until(lambda: len(seen) == jobs)
        assert seen == [str(number) for number in range(jobs)]


async def test_long_jobs_fill_a_lane_sooner() -> None:
    queue = LocalQueue(100, bytes_waiting_max=2 * len(job("1").fields))
    for turn_id in "12":
        queue.put(job(turn_id))
    with pytest.raises(QueueFull):
        queue.put(job("3"))
    queue.put(job("elsewhere", "other"))
    assert queue.forget("1")
    queue.put(job("3"))
    taken: list[Delivery] = []
    consumer = queue.consume("m", 1, taken.append)
    assert turns(taken) == ["2"]
    queue.put(job("4"))
    with pytest.raises(QueueFull):
        queue.put(job("5"))
    consumer.close()  # what was accepted once waits again, whatever the bound
    assert queue.jobs_waiting == 4
    queue.consume("m", 10, taken.append)
    assert turns(taken) == ["2", "2", "3", "4"]
    queue.put(job("5"))


async def test_one_job_may_be_longer_than_the_bound() -> None:
    queue = LocalQueue(100, bytes_waiting_max=1)
    queue.put(job("1"))
    assert queue.jobs_waiting == 1
