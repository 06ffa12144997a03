"""The bench of usage runs from end to end and fills sums that agree; figures are not judged."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from axon.metering import ROLLUPS
from bench.compiled import ROOT
from bench.usage import questions
from bench.usage_fill import DAYS, DiskTooSmall, Shape, check_disk, fill, steps


def test_it_asks_and_lets_turns_become_sums() -> None:
    command = [sys.executable, "-m", "bench.usage", "--rows", "1", "--people", "20"]
    done = subprocess.run(
        [*command, "--turns", "600"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in questions():
        assert f"\n{name} " in done.stdout
    assert "the whole projector" in done.stdout
    assert "of the whole, metering" in done.stdout


async def test_every_table_is_filled_with_the_same_usage(database: str) -> None:
    connection = await asyncpg.connect(database)
    done: list[int] = []
    shape = Shape(others=2, people=30, keys=7)
    await fill(connection, shape, lambda _what, step: done.append(step))
    found = set()
    for table in ROLLUPS:
        totals = "sum(requests_count), sum(input_tokens), sum(cost_nano)"
        found.update(await connection.fetch(f"SELECT {totals} FROM metering.{table}"))
    quarters = await connection.fetchval("SELECT count(*) FROM metering.usage_quarters")
    keys = await connection.fetchval(
        "SELECT count(*) FROM pg_constraint WHERE contype = 'p' AND"
        " conrelid = ANY($1::text[]::regclass[])",
        [f"metering.{table}" for table in ROLLUPS],
    )
    await connection.close()
    assert len(found) == 1
    assert quarters == DAYS * 8 * (30 + 2 * 10)
    assert keys == len(ROLLUPS)
    assert done == sorted(done)
    assert done[-1] == steps()


def test_more_rows_than_the_disk_bears_are_refused(tmp_path: Path) -> None:
    check_disk(tmp_path, 0)
    with pytest.raises(DiskTooSmall, match="would fit"):
        check_disk(tmp_path, 10**12)
