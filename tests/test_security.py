"""SECURITY.md keeps its word: each risk of both lists has a row, and each row tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "SECURITY.md").read_text()
ROW = re.compile(r"^\| ((?:API|LLM)\d+) [^|]+\| ([^|]+)\| ([^|]+)\|$", re.MULTILINE)
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROWS = {risk: (says.strip(), proofs) for risk, says, proofs in ROW.findall(PAGE)}


def test_each_risk_of_both_lists_has_its_row() -> None:
    wanted = [f"API{number}" for number in range(1, 11)]
    wanted += [f"LLM{number:02}" for number in range(1, 11)]
    assert list(ROWS) == wanted


@pytest.mark.parametrize("risk", ROWS)
def test_each_row_says_what_is_done_and_names_tests_that_exist(risk: str) -> None:
    says, proofs = ROWS[risk]
    found = PROOF.findall(proofs)
    assert says and found
    assert len(found) == proofs.count("`") // 2, "something else stands where a test should"
    for path, name in found:
        text = (ROOT / path).read_text()
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


def test_the_number_of_questions_is_that_of_the_matrix() -> None:
    lines = (ROOT / "tests" / "gateway" / "access_matrix.txt").read_text().splitlines()
    asked = [line for line in lines if line and not line.startswith("#")]
    (said,) = re.findall(r"(\d+) questions to all routes", PAGE)
    assert int(said) == len(asked)
