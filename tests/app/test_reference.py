"""The reference page of the settings is the one the tree makes."""

from pathlib import Path

from axon.app.reference import settings_page
from axon.app.settings.loading import OTHER_VARIABLES, variables_of

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == settings_page(), "run: python -m axon.app.reference"


def test_the_page_names_every_variable_once() -> None:
    page = settings_page()
    for variable in (*variables_of(), *OTHER_VARIABLES):
        assert page.count(f"| `{variable}` |") == 1, variable


def test_no_setting_is_without_a_meaning() -> None:
    rows = [line for line in settings_page().splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if row.endswith("|  |")] == []
