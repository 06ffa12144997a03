"""What every JobQueue with its JobSource keeps to: in one process, and over Valkey."""

from collections.abc import AsyncIterator, Callable, Iterable

import pytest

from axon.inference import Delivery, Job, LocalQueue, QueueFull
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


async def served(ends: Ends, jobs: Iterable[Job]) -> str:
    """Put all jobs before a worker with one slot comes; return the first letters of their turns."""
    known = list(jobs)
    for one in known:
        put(ends, one)
    await ends.arrived()
    seen: list[str] = []

    def run(delivery: Delivery) -> None:
        seen.append(delivery.job.turn_id)
        finish(ends, delivery)

    ends.source.consume("m", 1, run)
    await until(lambda: len(seen) == len(known))
    assert sorted(seen) == sorted(one.turn_id for one in known)
    for kind in {turn_id[0] for turn_id in seen}:  # within a row they stay in order
        row = [turn_id for turn_id in seen if turn_id[0] == kind]
        assert row == [one.turn_id for one in known if one.turn_id[0] == kind]
    return "".join(turn_id[0] for turn_id in seen)


def gets_its_share(order: str, kind: str, percent: int) -> None:
    """While it waits, it is behind its share by one job at most at any time."""
    for length in range(order.rindex(kind) + 1):
        assert order[:length].count(kind) >= length * percent // 100 - 1, order[:length]


@pytest.mark.parametrize("share", [20, 50, 70])
async def test_a_flood_delays_nobody_beyond_the_share(ends: Ends, share: int) -> None:
    flood = [job(f"free-{number}", weight=100 - share) for number in range(80)]
    few = [job(f"paid-{number}", row=3, weight=share) for number in range(8)]
    gets_its_share(await served(ends, [*flood, *few]), "p", share)


async def test_who_has_no_share_goes_on_under_a_flood_of_one_who_has(ends: Ends) -> None:
    flood = [job(f"paid-{number}", row=3, weight=80) for number in range(80)]
    few = [job(f"free-{number}", weight=20) for number in range(8)]
    order = await served(ends, [*flood, *few])
    gets_its_share(order, "f", 20)
    gets_its_share(order[: order.rindex("f")], "p", 80)


async def test_three_rows_have_their_parts(ends: Ends) -> None:
    weights = {"a": (0, 20), "b": (1, 50), "c": (7, 30)}
    jobs = [
        job(f"{kind}-{number}", row=row, weight=weight)
        for kind, (row, weight) in weights.items()
        for number in range(30)
    ]
    order = (await served(ends, jobs))[:50]  # until then none of them runs out
    for kind, (_, weight) in weights.items():
        assert abs(order.count(kind) - weight // 2) <= 2, order


async def test_nobody_saves_up_turns(ends: Ends) -> None:
    """A row that was empty while others worked begins level with them, not with all it missed."""
    for number in range(60):
        put(ends, job(f"free-{number}", weight=50))
    for number in range(3):  # they are known to have been there once
        put(ends, job(f"paid-{number}", row=1, weight=50))
    await ends.arrived()
    taken: list[Delivery] = []
    ends.source.consume("m", 1, taken.append)
    for number in range(63):
        while len(taken) <= number:
            await ends.quiet()
        if number == 30:
            for again in range(20):
                put(ends, job(f"paid-again-{again}", row=1, weight=50))
            await ends.arrived()
        finish(ends, taken[number])
    after = "".join(turn_id[0] for turn_id in turns(taken)[31:])
    gets_its_share(after[:30], "f", 50)
    gets_its_share(after[:30], "p", 50)


@pytest.mark.failure("queue", "full")
async def test_a_flood_leaves_room_for_who_has_a_share() -> None:
    queue = LocalQueue(10)
    for number in range(10):
        queue.put(job(f"free-{number}", weight=50))
    with pytest.raises(QueueFull):
        queue.put(job("free", weight=50))
    for number in range(5):
        queue.put(job(f"paid-{number}", row=1, weight=50))
    with pytest.raises(QueueFull):
        queue.put(job("paid", row=1, weight=50))


async def test_a_row_beyond_its_own_part_takes_of_what_all_share() -> None:
    queue = LocalQueue(10)
    for number in range(12):  # 5 of its own and 7 of all's
        queue.put(job(f"paid-{number}", row=1, weight=50))
    for number in range(3):
        queue.put(job(f"free-{number}", weight=50))
    with pytest.raises(QueueFull):
        queue.put(job("free", weight=50))
    with pytest.raises(QueueFull):
        queue.put(job("paid", row=1, weight=50))


async def test_long_jobs_leave_room_for_who_has_a_share() -> None:
    size = len(job("1").fields)
    queue = LocalQueue(100, bytes_waiting_max=4 * size)
    for number in range(4):
        queue.put(job(f"free-{number}", weight=50))
    with pytest.raises(QueueFull):
        queue.put(job("free", weight=50))
    for number in range(2):
        queue.put(job(f"paid-{number}", row=1, weight=50))
    with pytest.raises(QueueFull):
        queue.put(job("paid", row=1, weight=50))


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
