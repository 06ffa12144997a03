"""The table of a campaign puts every attempt beside the kill it followed."""

from tests.chaos.ledger import Attempt
from tests.chaos.report import Strike, figures


def attempt(ended_ns: int, error: str = "") -> Attempt:
    return Attempt(
        conversation="conv",
        mark=str(ended_ns),
        sent_ns=0,
        ended_ns=ended_ns,
        acknowledged=not error,
        error=error,
    )


def test_an_attempt_belongs_to_the_last_kill_before_its_end() -> None:
    strikes = [
        Strike(target=("postgres", "valkey"), at_ns=10),
        Strike(target=("power",), at_ns=20),
        Strike(target=("postgres", "valkey"), at_ns=30),
    ]
    away = "InternalServerError: Error code: 503 - away"
    attempts = [attempt(5), attempt(10), attempt(12, away), attempt(25, "broke"), attempt(31, away)]
    rows = [line.split(maxsplit=6) for line in figures(strikes, attempts)[1:]]
    assert rows == [
        ["(before", "the", "first)", "1", "1", "0"],
        ["postgres", "+", "valkey", "2", "1", "2", "2 503 - away"],
        ["power", "1", "0", "1", "1", "broke"],
    ]
