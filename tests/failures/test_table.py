"""The failure table says what the tests prove, and nothing else."""

from collections import Counter
from itertools import product

import pytest

from tests.failures.table import (
    DEPENDENCIES,
    FAULTS,
    PAGE,
    ROOT,
    Page,
    marked_tests,
    names_in,
    read_page,
)

MARKED = marked_tests(ROOT / "tests")


@pytest.fixture(scope="module")
def page() -> Page:
    return read_page(PAGE.read_text())


def test_every_dependency_meets_every_fault(page: Page) -> None:
    rows = Counter(row.pair for row in page.rows)
    assert [pair for pair, count in rows.items() if count > 1] == []
    assert rows.keys() & page.cannot_be.keys() == set(), "both a row and a reason for none"
    wanted = set(product(DEPENDENCIES, FAULTS))
    assert wanted - rows.keys() - page.cannot_be.keys() == set(), "neither a row nor a reason"
    assert (rows.keys() | page.cannot_be.keys()) - wanted == set(), "unknown names"


def test_every_row_is_whole(page: Page) -> None:
    assert [row.pair for row in page.rows if not all(row.words)] == []
    assert [row.pair for row in page.rows if not row.proofs] == [], "rows without a test"
    assert [pair for pair, reason in page.cannot_be.items() if not reason] == []


def test_every_proof_is_there_and_carries_its_mark(page: Page) -> None:
    wrong = []
    for row in page.rows:
        for proof in row.proofs:
            file, _, name = proof.partition("::")
            if not (ROOT / file).exists() or name not in names_in(ROOT / file):
                wrong.append(f"{row.pair}: there is no {proof}")
            elif proof not in MARKED.get(row.pair, set()):
                wrong.append(f"{row.pair}: {proof} does not carry the mark")
    assert wrong == []


def test_every_marked_test_stands_in_its_row(page: Page) -> None:
    named = {row.pair: set(row.proofs) for row in page.rows}
    missing = {pair: tests - named.get(pair, set()) for pair, tests in MARKED.items()}
    assert {pair: tests for pair, tests in missing.items() if tests} == {}


def test_the_check_sees_what_is_wrong() -> None:
    text = "## It (`clock`)\n| fault | a | b | c | d | proof |\n|---|---|---|---|---|---|\n"
    found = read_page(f"{text}| slow | sees | refused | | heals | `tests/x.py::test_y` |\n## Not\n")
    assert found.rows[0].pair == ("clock", "slow") and not all(found.rows[0].words)
    assert found.rows[0].proofs == ("tests/x.py::test_y",)
    with pytest.raises(AssertionError, match="5 cells"):
        read_page(f"{text}| slow | sees | refused | kept | `tests/x.py::test_y` |")
