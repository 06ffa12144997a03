"""A round of each kind: no budget overspent, no drift, nobody refused with money left."""

import asyncio
from pathlib import Path

import pytest

from tests.failures.budgets import KINDS, Round, play_all, prepare
from tests.gateway.commands import axon_command
from tests.gateway.conftest import start_axon, stop, upstream_address

__all__ = ["upstream_address"]


@pytest.mark.failure("valkey", "frozen")
def test_no_round_costs_more_than_its_budget(tmp_path: Path, upstream_address: str) -> None:
    process, axon = start_axon(tmp_path / "data", upstream_address)
    try:
        rounds = asyncio.run(play_all(axon, prepare(axon, axon_command), list(KINDS), 7))
    finally:
        stop(process)
    assert [one.kind for one in rounds if one.kept] == list(KINDS)
    for one in rounds:
        assert 0 < one.settled <= one.budget
        assert one.refused or one.away or one.broken


@pytest.mark.parametrize(
    "broken", [{"settled": 101}, {"drift": 1}, {"phantom": 1}, {"admitted": 1}]
)
def test_what_breaks_a_promise_is_seen(broken: dict[str, int]) -> None:
    fields = {"kind": "whole", "worth": 2, "budget": 100, "settled": 100, "admitted": 2}
    assert Round(**fields).kept  # type: ignore[arg-type]
    assert not Round(**{**fields, **broken}).kept  # type: ignore[arg-type]
