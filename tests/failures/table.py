"""Reads docs/failures.md, and the markers of the tests that prove it.

`python -m tests.failures.table` writes the marks into the proof column; the words are a person's.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "failures.md"

DEPENDENCIES = (
    "journal-disk",
    "postgresql",
    "valkey",
    "queue",
    "bus",
    "engine",
    "upstream",
    "snapshot",
    "clock",
    "stripe",
    "telemetry",
    "scheduler",
    "kafka",
    "webhooks",
    "flags-folder",
    "retriever",
    "moderation",
    "archive",
    "key-root",
)
FAULTS = (
    "down",
    "frozen",
    "slow",
    "refusing",
    "wiped",
    "wrong-password",
    "full",
    "at-start",
    "lying",
    "corrupt",
)
Pair = tuple[str, str]

_HEADING = re.compile(r"^## .*\(`([a-z-]+)`\)$")
_PROOF = re.compile(r"`(tests/[\w/]+\.py::\w+)`")
_CELLS = 6
"""Fault, what the user sees, what is refused, what is kept, how it heals, proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a dependency's table."""

    pair: Pair
    words: tuple[str, ...]
    """The cells between the fault and the proof."""
    proofs: tuple[str, ...]
    """Node ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The document, taken apart."""

    rows: list[Row]
    cannot_be: dict[Pair, str]
    """Pairs without a row, each with the reason."""


def read_page(text: str) -> Page:
    """Return the rows; raise AssertionError for a line of a table that cannot be read."""
    rows: list[Row] = []
    cannot_be: dict[Pair, str] = {}
    dependency = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = _HEADING.match(line)
            dependency = heading.group(1) if heading else ""
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if (
            not line.startswith("|")
            or cells[0] in ("fault", "dependency")
            or set(line) <= set("|- ")
        ):
            continue
        if dependency:
            assert len(cells) == _CELLS, f"a row of {dependency} has {len(cells)} cells: {line}"
            proofs = tuple(_PROOF.findall(cells[-1]))
            rows.append(Row(pair=(dependency, cells[0]), words=tuple(cells[1:-1]), proofs=proofs))
        else:
            assert len(cells) == 3, f"not dependency, faults, reason: {line}"
            for fault in cells[1].split(", "):
                cannot_be[cells[0], fault] = cells[2]
    return Page(rows=rows, cannot_be=cannot_be)


def marked_tests(folder: Path) -> dict[Pair, set[str]]:
    """Return the node ids of every test that carries `pytest.mark.failure`, by what it proves.

    The marker may stand on the test or on one of its parameters.
    """
    found: dict[Pair, set[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            name = f"{path.relative_to(ROOT)}::{node.name}"
            for decorator in node.decorator_list:
                for pair in _pairs_in(decorator):
                    found.setdefault(pair, set()).add(name)
    return found


def names_in(path: Path) -> set[str]:
    """Return the names of the functions a file defines."""
    return {
        node.name
        for node in ast.parse(path.read_text(), filename=str(path)).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _pairs_in(decorator: ast.expr) -> list[Pair]:
    calls = [node for node in ast.walk(decorator) if isinstance(node, ast.Call)]
    pairs = []
    for call in calls:
        if ast.unparse(call.func) == "pytest.mark.failure":
            dependency, fault = (ast.literal_eval(argument) for argument in call.args)
            pairs.append((dependency, fault))
    return pairs


def with_proofs(text: str, marked: dict[Pair, set[str]]) -> str:
    """Return the page with the proof of every row as the marks have it."""
    lines, dependency = text.splitlines(), ""
    for number, line in enumerate(lines):
        if line.startswith("## "):
            heading = _HEADING.match(line)
            dependency = heading.group(1) if heading else ""
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and dependency and cells[0] in FAULTS:
            proofs = sorted(marked.get((dependency, cells[0]), ()))
            words = " | ".join(cells[: _CELLS - 1])
            lines[number] = f"| {words} | {', '.join(f'`{proof}`' for proof in proofs)} |"
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(with_proofs(PAGE.read_text(), marked_tests(ROOT / "tests")))
