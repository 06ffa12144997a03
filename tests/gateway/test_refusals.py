"""Refusals that pass by themselves say so, and say when to come back."""

import pytest

from axon.base import AxonError
from axon.conversations import KeysFull, TailFull
from axon.gateway.problems import problem_of
from axon.inference import QueueFull
from axon.journal import DiskLow, JournalFull
from axon.turns import Draining, Recovering, TooManyTurns


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (TooManyTurns, "server_overloaded"),
        (QueueFull, "server_overloaded"),
        (JournalFull, "journal_full"),
        (DiskLow, "disk_low"),
        (TailFull, "projection_behind"),
        (KeysFull, "projection_behind"),
        (Draining, "server_draining"),
        (Recovering, "recovering"),
    ],
)
def test_a_refusal_for_want_of_room_is_a_503_with_a_time(cause: type[AxonError], code: str) -> None:
    problem = problem_of(cause())
    assert (problem.status, problem.code, problem.kind) == (503, code, "server_error")
    headers = dict(problem.headers())
    assert int(headers[b"retry-after"]) >= 1
    assert int(headers[b"retry-after-ms"]) >= 1
