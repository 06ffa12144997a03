"""The short soak: the load, the sampler and the table work; `make soak` is the long one."""

from pathlib import Path

from rich.progress import Progress

from tests.failures.growth import POINTS_MIN
from tests.failures.holdings import FILES, JOURNAL, LAG, MEMORY
from tests.failures.soak import Soak, Soaked, soak_in, table

PROCESSES = {
    "supervisor", "postgres", "valkey", "projector", "scheduler", "serving 1", "serving 2",
    "worker 1", "worker 2",
}  # fmt: skip
ACTS = {
    "chat", "chat streamed", "conversation begun", "turn", "turn left by its client",
    "turn streamed", "turn tried twice",
}  # fmt: skip


def test_a_soak_sees_every_process_and_no_request_fails(tmp_path: Path) -> None:
    wanted = Soak(minutes=0.15, warm_up_minutes=0.05, sample_every_s=0.5, rate_per_s=20.0)
    soaked = soak_in(tmp_path, wanted, Progress(disable=True))
    lines, _ = table(soaked, wanted.warm_s)
    print(*lines, sep="\n")
    assert soaked.problems == []
    assert set(soaked.done) >= ACTS
    figures = {(name, figure) for name in PROCESSES for figure in (MEMORY, FILES)}
    assert set(soaked.points) == figures | {("journals", JOURNAL), ("journals", LAG)}
    for name, points in soaked.points.items():
        assert len(points) >= POINTS_MIN, name
        if LAG not in name:
            assert all(value > 0 for _, value in points), name
    assert len(lines) == 1 + len(soaked.points)


def test_what_grows_is_named() -> None:
    """A leak of a MiB a minute, and a lag that comes and goes, in the sampler's place."""
    soaked = Soaked()
    for number in range(60):
        at_s = 10.0 * number
        soaked.points["serving 1", MEMORY].append((at_s, 60.0 + at_s / 60))
        soaked.points["serving 2", MEMORY].append((at_s, 60.0 + number % 2 / 10))
        soaked.points["journals", LAG].append((at_s, float(number % 3)))
    lines, growing = table(soaked, warm_s=100.0)
    assert growing == [f"serving 1: {MEMORY}"]
    assert [line.split()[-1] for line in lines[1:]] == ["grows", "flat", "flat"]


def test_what_is_filled_in_the_warm_up_is_no_growth() -> None:
    soaked = Soaked()
    for number in range(60):
        soaked.points["serving", MEMORY].append((10.0 * number, 60.0 + min(number, 30) / 10))
    assert table(soaked, warm_s=0.0)[1] and not table(soaked, warm_s=300.0)[1]


def test_postgresql_may_not_get_a_connection_more_an_hour() -> None:
    soaked = Soaked()
    for number in range(360):
        soaked.points["postgres", FILES].append((10.0 * number, 1200.0 + 80 * (number // 90)))
    assert table(soaked, warm_s=0.0)[1] == [f"postgres: {FILES}"]


def test_whatever_else_goes_wrong_is_a_problem() -> None:
    assert Soaked(caught_up_s=0.1).problems == []
    assert len(Soaked(caught_up_s=None).problems) == 1
    assert len(Soaked(caught_up_s=0.1, restarts=["valkey"], failed={"chat": 2}).problems) == 2
