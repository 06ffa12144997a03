"""What every JobQueue keeps to. A new implementation is one more line in QUEUES."""

from collections.abc import Callable

import pytest

from axon.inference import Delivery, Job, JobQueue, LocalQueue, QueueFull, Upstream
from tests.inference.scene import model_of

QUEUES: dict[str, Callable[[int], JobQueue]] = {"local": LocalQueue}
UP = Upstream(name="a", base_url="http://localhost", model="tiny")


@pytest.fixture(params=list(QUEUES.values()), ids=list(QUEUES))
def new_queue(request: pytest.FixtureRequest) -> Callable[[int], JobQueue]:
    made: Callable[[int], JobQueue] = request.param
    return made


@pytest.fixture
def queue(new_queue: Callable[[int], JobQueue]) -> JobQueue:
    return new_queue(100)


def job(turn_id: str, lane: str = "m") -> Job:
    model = model_of(UP, alias=lane)
    return Job(turn_id=turn_id, model=model, fields=b'"n":1', streamed=True, deadline=1e9)


def turns(taken: list[Delivery]) -> list[str]:
    return [delivery.job.turn_id for delivery in taken]


async def test_a_free_slot_has_the_job_within_put(queue: JobQueue) -> None:
    taken: list[Delivery] = []
    queue.consume("m", 1, taken.append)
    one = job("1")
    queue.put(one)
    assert [(delivery.job, delivery.attempt) for delivery in taken] == [(one, 1)]


async def test_jobs_come_in_order_and_never_more_than_slots(queue: JobQueue) -> None:
    taken: list[Delivery] = []
    queue.put(job("1"))
    queue.consume("m", 2, taken.append)
    for turn_id in "2345":
        queue.put(job(turn_id))
    assert turns(taken) == ["1", "2"]
    taken[1].done()
    assert turns(taken) == ["1", "2", "3"]
    taken[0].done()
    taken[2].done()
    assert turns(taken) == ["1", "2", "3", "4", "5"]


async def test_lanes_do_not_wait_for_each_other(queue: JobQueue) -> None:
    taken: list[Delivery] = []
    queue.consume("a", 1, taken.append)
    queue.consume("b", 1, taken.append)
    for turn_id, lane in (("1", "a"), ("2", "a"), ("3", "b")):
        queue.put(job(turn_id, lane))
    assert turns(taken) == ["1", "3"]


async def test_a_lane_has_a_bound(new_queue: Callable[[int], JobQueue]) -> None:
    queue = new_queue(2)
    taken: list[Delivery] = []
    queue.consume("m", 1, taken.append)
    for turn_id in "123":
        queue.put(job(turn_id))
    with pytest.raises(QueueFull):
        queue.put(job("4"))
    queue.put(job("5", "other"))
    taken[0].done()
    queue.put(job("6"))


async def test_a_dead_workers_jobs_are_anothers_first(queue: JobQueue) -> None:
    dead: list[Delivery] = []
    consumer = queue.consume("m", 3, dead.append)
    for turn_id in "1234":
        queue.put(job(turn_id))
    dead[1].done()
    assert turns(dead) == ["1", "2", "3", "4"]
    queue.put(job("5"))
    consumer.close()
    taken: list[Delivery] = []
    queue.consume("m", 10, taken.append)
    assert turns(taken) == ["1", "3", "4", "5"]
    assert [delivery.attempt for delivery in taken] == [2, 2, 2, 1]


async def test_a_dead_worker_cannot_end_a_job_that_is_anothers(queue: JobQueue) -> None:
    dead: list[Delivery] = []
    consumer = queue.consume("m", 1, dead.append)
    queue.put(job("1"))
    consumer.close()
    taken: list[Delivery] = []
    second = queue.consume("m", 1, taken.append)
    dead[0].done()
    dead[0].give_back()
    second.close()
    queue.consume("m", 1, taken.append)
    assert turns(taken) == ["1", "1"]


async def test_a_job_given_back_is_delivered_again(queue: JobQueue) -> None:
    taken: list[Delivery] = []
    queue.consume("m", 1, taken.append)
    queue.put(job("1"))
    queue.put(job("2"))
    taken[0].give_back()
    assert turns(taken) == ["1", "1"]
    assert taken[1].attempt == 2


async def test_a_draining_worker_keeps_what_it_has(queue: JobQueue) -> None:
    taken: list[Delivery] = []
    consumer = queue.consume("m", 2, taken.append)
    queue.put(job("1"))
    consumer.drain()
    queue.put(job("2"))
    assert turns(taken) == ["1"]
    taken[0].done()
    consumer.close()
    later: list[Delivery] = []
    queue.consume("m", 2, later.append)
    assert turns(later) == ["2"]


async def test_a_waiting_job_can_be_forgotten(queue: JobQueue) -> None:
    taken: list[Delivery] = []
    queue.consume("m", 1, taken.append)
    for turn_id in "123":
        queue.put(job(turn_id))
    assert queue.forget("2")
    assert not queue.forget("2")
    assert not queue.forget("1")
    taken[0].done()
    assert turns(taken) == ["1", "3"]


async def test_jobs_that_end_at_once_do_not_nest(new_queue: Callable[[int], JobQueue]) -> None:
    """A thousand jobs wait; a worker that refuses each at once must not run out of stack."""
    queue = new_queue(5000)
    for number in range(5000):
        queue.put(job(str(number)))
    seen: list[str] = []

    def refuse(delivery: Delivery) -> None:
        seen.append(delivery.job.turn_id)
        delivery.done()

    queue.consume("m", 1, refuse)
    assert seen == [str(number) for number in range(5000)]
