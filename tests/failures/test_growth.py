"""What the long soak calls growth, and that its sampler sees a process that leaks."""

import os
import random
import signal
import subprocess
import sys

import pytest

from tests.failures.growth import POINTS_MIN, Bound, Point, fit
from tests.failures.holdings import FILES, MEMORY, held_by_all

BOUND = Bound(share_per_h=0.02, amount_per_h=1.0)
HOUR_S = 3600.0
STEPS = 20

LEAKING = """
import sys
kept = []
for line in sys.stdin:
    if line.strip() == "leak":
        kept.append((b"x" * (1 << 20), open("/dev/null")))
    print("done", flush=True)
"""

PARENT = """
import subprocess
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
child.wait()
"""


def points(*, per_h: float, noise: float = 0.0, start: float = 60.0) -> list[Point]:
    """Return a sample every ten seconds for twenty minutes."""
    chance = random.Random(7)
    times = [10.0 * number for number in range(120)]
    return [(at_s, start + per_h * at_s / HOUR_S + chance.gauss(0, noise)) for at_s in times]


def test_a_line_is_found_again() -> None:
    trend = fit(points(per_h=30.0))
    assert trend.per_h == pytest.approx(30.0)
    assert trend.error_per_h == pytest.approx(0.0, abs=1e-6)
    assert (trend.start, trend.end) == pytest.approx((60.0, 60.0 + 30.0 * 1190 / HOUR_S))


@pytest.mark.parametrize(
    ("per_h", "noise", "verdict"),
    [
        (0.0, 0.0, "flat"),
        (0.0, 0.05, "flat"),
        (0.9, 0.0, "flat"),
        (10.0, 0.0, "grows"),
        (10.0, 0.5, "grows"),
        (-10.0, 0.5, "flat"),
        (4.0, 10.0, "unclear"),
    ],
)
def test_growth_is_what_passes_bound_and_error(per_h: float, noise: float, verdict: str) -> None:
    assert fit(points(per_h=per_h, noise=noise)).verdict(BOUND) == verdict


def test_the_bound_is_a_share_of_what_is_large() -> None:
    large = points(per_h=10.0, start=1000.0)
    assert fit(large).verdict(BOUND) == "flat"
    assert fit(large).verdict(Bound(share_per_h=0.005, amount_per_h=1.0)) == "grows"


def test_steps_make_a_slope_less_certain() -> None:
    steps = [(at_s, float(int(value))) for at_s, value in points(per_h=9.0)]
    smooth = [(at_s, value) for at_s, value in points(per_h=9.0, noise=0.29)]
    assert fit(steps).error_per_h > 2 * fit(smooth).error_per_h


def test_too_few_points_are_no_trend() -> None:
    with pytest.raises(ValueError, match="needs"):
        fit(points(per_h=1.0)[: POINTS_MIN - 1])


@pytest.mark.parametrize(("order", "verdict"), [("leak", "grows"), ("rest", "flat")])
def test_a_process_that_leaks_is_seen(order: str, verdict: str) -> None:
    """Through the real sampler; the instants are made up, so that no time has to pass."""
    child = subprocess.Popen(
        [sys.executable, "-c", LEAKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    seen: dict[str, list[Point]] = {MEMORY: [], FILES: []}
    with child:
        assert child.stdin is not None and child.stdout is not None
        for step in range(STEPS):
            child.stdin.write(f"{order}\n")
            child.stdin.flush()
            assert child.stdout.readline() == "done\n"
            (held,) = held_by_all({"child": child.pid})
            for figure, value in held.figures.items():
                seen[figure].append((60.0 * step, value))
        child.stdin.close()
    assert [fit(values).verdict(BOUND) for values in seen.values()] == [verdict, verdict]


def test_a_parent_is_not_charged_for_children_with_names_of_their_own() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        apart = {one.name: one.figures for one in held_by_all({"up": parent.pid, "it": child})}
        (together,) = held_by_all({"up": parent.pid})
        assert together.figures[FILES] == apart["up"][FILES] + apart["it"][FILES]
        assert apart["it"][FILES] > 0
        os.kill(child, signal.SIGKILL)
