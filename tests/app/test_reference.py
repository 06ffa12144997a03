"""The reference pages are those the code makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from axon.app.reference import PAGES, records_page, routes_page, settings_page
from axon.app.settings.loading import OTHER_VARIABLES, variables_of
from axon.records import KINDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the command makes them now: in a process where no test made a metric."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "axon.app.reference", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, env=environment, check=True, timeout=60)
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(made: Path, name: str) -> None:
    kept = ROOT / "docs" / name
    assert kept.read_text() == (made / name).read_text(), "run: python -m axon.app.reference"


def test_every_kind_of_record_has_its_fields() -> None:
    page = records_page()
    for kind, record in KINDS.items():
        section = page.split(f"## {kind}: {record.__name__}\n")[1].split("\n## ")[0]
        assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == [
            *record.__struct_fields__
        ]


@pytest.mark.parametrize(
    "route",
    [
        "| POST | `/v1/responses` |",
        "| GET | `/v1/models/{id}` |",
        "| POST | `/v1/conversations/{id}/items` |",
        "| DELETE | `/v1/conversations/{id}/items/{id}` |",
        "| GET | `/readyz` |",
    ],
)
def test_each_kind_of_route_is_there(route: str) -> None:
    (row,) = [line for line in routes_page().splitlines() if line.startswith(route)]
    assert not row.endswith("|  |"), "it has a meaning"


def test_the_page_names_every_variable_once() -> None:
    page = settings_page()
    for variable in (*variables_of(), *OTHER_VARIABLES):
        assert page.count(f"| `{variable}` |") == 1, variable


def test_no_setting_is_without_a_meaning() -> None:
    rows = [line for line in settings_page().splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []
