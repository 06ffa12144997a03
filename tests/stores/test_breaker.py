from collections.abc import Callable

from axon.stores import Breaker
from axon.stores.breaker import LINES_MAX, REASONS_MAX, SETTLED_S
from axon.telemetry import render_metrics


class HandClock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now_us(self) -> int:
        return int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


def test_opens_after_a_run_of_failures_only() -> None:
    breaker = Breaker("run", failures_to_open=3, clock=HandClock())
    for _ in range(5):
        breaker.failed("late")
        breaker.failed("late")
        assert breaker.state == "closed" and breaker.allow()
        breaker.succeeded()
    for _ in range(3):
        breaker.failed("late")
    assert breaker.state == "open" and not breaker.allow()
    assert breaker.reason == "late"


def test_lets_one_probe_through_an_interval() -> None:
    clock = HandClock()
    breaker = Breaker("probe", probe_every_s=2.0, clock=clock)
    breaker.trip("gone")
    clock.seconds += 1.9
    assert not breaker.allow()
    clock.seconds += 0.2
    assert [breaker.allow(), breaker.allow()] == [True, False]
    breaker.failed("still gone")
    clock.seconds += 2.1
    assert breaker.allow()
    breaker.succeeded()
    assert [breaker.allow(), breaker.allow()] == [True, True]


def test_says_each_change_once(log_lines: Callable[[], list[str]]) -> None:
    breaker = Breaker("talker", failures_to_open=2, clock=HandClock())
    for _ in range(10):
        breaker.failed("late")
    breaker.trip("wrong password")
    breaker.trip("late")
    breaker.succeeded()
    breaker.succeeded()
    breaker.trip("late")
    messages = [line.partition('"message":"')[2].partition('"')[0] for line in log_lines()]
    assert messages == [
        "talker is away: late",
        "talker is away: wrong password",
        "talker is back",
        "talker is away: late",
    ]


def test_an_outage_with_many_reasons_stays_quiet(log_lines: Callable[[], list[str]]) -> None:
    breaker = Breaker("chatter", clock=HandClock())
    for number in range(REASONS_MAX * 3):
        breaker.trip(f"reason {number}")
    assert len(log_lines()) == REASONS_MAX


def test_the_metric_follows() -> None:
    breaker = Breaker("metered", clock=HandClock())
    line = b'axon_dependency_up{dependency="metered"}'
    assert line + b" 1.0" in render_metrics()
    breaker.trip("gone")
    assert line + b" 0.0" in render_metrics()
    breaker.succeeded()
    assert line + b" 1.0" in render_metrics()


def test_one_that_comes_and_goes_is_bounded_until_it_has_settled(
    log_lines: Callable[[], list[str]],
) -> None:
    clock = HandClock()
    breaker = Breaker("flapper", clock=clock)
    for _ in range(LINES_MAX * 3):
        clock.seconds += SETTLED_S / 2
        breaker.trip("late")
        breaker.succeeded()
    assert len(log_lines()) == LINES_MAX
    assert "nothing more is said" in log_lines()[-1]
    clock.seconds += SETTLED_S
    breaker.trip("late")
    assert len(log_lines()) == LINES_MAX + 1


def test_the_health_says_since_when_and_why() -> None:
    clock = HandClock()
    breaker = Breaker("patient", clock=clock)
    assert breaker.health == (True, 100_000_000, "")
    clock.seconds += 5
    breaker.trip("gone")
    clock.seconds += 5
    breaker.trip("still gone")
    assert breaker.health == (False, 105_000_000, "still gone")
    breaker.succeeded()
    assert breaker.health == (True, 110_000_000, "")
