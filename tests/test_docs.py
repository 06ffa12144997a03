"""The documentation is tested: its links lead somewhere, its commands exist, its code compiles."""

import re
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from axon.app.cli.main import axon

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
DECISIONS = sorted(ROOT.glob("docs/adr/*.md"))

LINK = re.compile(r"\[[^\]]+\]\((?!https?:|mailto:|#)([^)#\s]+)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands_in(page: Path) -> list[str]:
    """Return every line of shell a page shows, in blocks and in spans, without comments."""
    text = page.read_text()
    lines = [
        line for kind, body in BLOCK.findall(text) if kind == "sh" for line in body.split("\n")
    ]
    lines += SPAN.findall(BLOCK.sub("", text))
    return [line.split("  #")[0].strip() for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files(page: Path) -> None:
    dead = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {
        match.group(1) for line in commands_in(page) if (match := re.match(r"make ([a-z-]+)", line))
    }
    assert used - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_axon_commands_exist(page: Path) -> None:
    for line in commands_in(page):
        if match := re.match(r"(?:\.venv/bin/)?axon ((?:[a-z-]+ ?)*)", line):
            assert_command(match.group(1).split(), line)


def assert_command(words: list[str], line: str) -> None:
    command: click.Command = axon
    path: list[str] = []
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"{line!r} names no command of axon"
        command = found
        path.append(word)
    shown = CliRunner().invoke(axon, [*path, "--help"])
    assert shown.exit_code == 0, shown.output
    for option in re.findall(r"(--[a-z-]+)", line):
        assert option in shown.output, f"{line!r}: no such option"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_compiles(page: Path) -> None:
    for kind, body in BLOCK.findall(page.read_text()):
        if kind == "python":
            compile(body, name_of(page), "exec")


def test_the_readme_begins_with_the_two_commands() -> None:
    first_block = BLOCK.search((ROOT / "README.md").read_text())
    assert first_block
    assert re.findall(r"^make (\w+)", first_block.group(2), re.MULTILINE) == ["up", "test"]


def test_decisions_are_numbered_and_have_a_status() -> None:
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert numbers == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        text = page.read_text()
        assert text.startswith(f"# {int(page.name[:4])}. "), page.name
        assert re.search(r"^Status: (accepted|rejected|replaced by \[)", text, re.MULTILINE)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["local"],
        *project["project"]["optional-dependencies"]["prices"],
        *groups["model"],
        *groups["client"],
        *(requirement for requirement in groups["dev"] if isinstance(requirement, str)),
    ]
    named = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in wanted}
    rows = (ROOT / "docs" / "dependencies.md").read_text()
    assert named == set(re.findall(r"^\| ([\w-]+) \| (?!for \|)", rows, re.MULTILINE)) - {"package"}
