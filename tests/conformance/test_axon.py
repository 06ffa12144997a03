"""Axon keeps what the suite asks; `make conformance` runs the rest, which hurts or is slow."""

from collections.abc import Iterator

import pytest

from conformance.groups import __all__ as _groups
from conformance.registry import Result, chosen
from conformance.results import Line
from conformance.runner import run_checks
from conformance.server import Target
from tests.conformance.against_axon import started

KEPT = (
    "models", "auth", "chat", "stored chat", "responses", "response events", "response history",
    "function calls", "conversations", "items",
)  # fmt: skip
"""The groups that Axon passes whole and that take no time."""

assert _groups  # importing them registered the checks


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with started(tmp_path_factory.mktemp("conformance"), delay_ms=0) as axon:
        found = dict(option.removeprefix("--").split("=", 1) for option in axon.options)
        yield Target(
            base_url=found["base-url"],
            api_key=found["api-key"],
            model=found["model"],
            echo_model=found["echo-model"],
        )


@pytest.mark.parametrize("group", KEPT)
async def test_a_group_is_all_green(target: Target, group: str) -> None:
    told: list[Line] = []
    lines = await run_checks(chosen([group]), target, told.append)
    assert lines == tuple(told)
    assert lines
    good = (Result.OK, Result.NO_KEY)  # another person's key is the tenants' tests' concern
    assert [line for line in lines if line.result not in good] == []
