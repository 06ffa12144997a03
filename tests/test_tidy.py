"""House rules that ruff, mypy and import-linter cannot state. CONTRIBUTING.md explains them."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "axon"

FILE_LINES_MAX = 500
FILE_LINES_GOOD = 300
FUNCTION_LINES_MAX = 60

REFUSED_NAMES = {
    "base_classes", "common", "helper", "helpers", "lib", "manager", "misc", "service", "shared",
    "stuff", "tools", "util", "utils",
}  # fmt: skip
"""A file is named for its content; these names say nothing about it."""

OWNED_CALLS = {
    "os.environ": ({"app"}, "settings are read once, by app, and handed down"),
    "os.getenv": ({"app"}, "settings are read once, by app, and handed down"),
    "os.fsync": (
        {"journal", "sealing", "stores"},
        "a failed fsync ends the process, or leaves what it was for where it is; these know how",
    ),
    "os.fdatasync": ({"journal", "sealing"}, "a failed fsync ends the process; these two know how"),
}
"""Calls that belong to some rooms, with the reason. What is refused everywhere is ruff's."""

LEAKS = re.compile(
    r"--(?:extra-)?index-url|find-links|\"resolved\":\s*\"http"
    r"|(?<![\w./-])/(?:home|root|work|Users)/[\w.-]"
)
"""Registry addresses and paths of one machine; neither helps on another."""


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def all_python() -> list[Path]:
    others = ("tests", "bench", "conformance")
    return sources() + [path for name in others for path in sorted((ROOT / name).rglob("*.py"))]


def tracked() -> list[Path]:
    """Return the files git tracks or would track; without git, those that matter."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=False)
    if done.returncode != 0:
        return all_python() + sorted(ROOT.glob("*.*"))
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def place(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room_of(path: Path) -> str:
    """Return the room a source file lives in; files beside the rooms are their own."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def test_files_are_short() -> None:
    lengths = {place(path): len(path.read_text().splitlines()) for path in all_python()}
    for name, lines in lengths.items():
        if FILE_LINES_GOOD < lines <= FILE_LINES_MAX:
            print(f"{name} has {lines} lines; {FILE_LINES_GOOD} read better")
    assert [name for name, lines in lengths.items() if lines > FILE_LINES_MAX] == []


def test_functions_fit_one_screen() -> None:
    long = []
    for path in all_python():
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{place(path)}:{node.lineno} {node.name} has {lines} lines")
    assert long == []


def test_files_are_named_for_their_content() -> None:
    names = [path.relative_to(ROOT).with_suffix("") for path in all_python()]
    assert [str(name) for name in names if REFUSED_NAMES & set(name.parts)] == []


def test_every_package_has_a_door() -> None:
    """A door is one sentence and the public names; so is nothing but imports and `__all__`."""
    wrong = []
    for directory in sorted({path.parent for path in sources()}):
        door = directory / "__init__.py"
        if not door.exists():
            wrong.append(f"{place(directory)} has no __init__.py")
            continue
        sentence = ast.get_docstring(parse(door)) or ""
        if not sentence.rstrip().endswith(".") or "\n\n" in sentence:
            wrong.append(f"{place(door)}: the docstring is one sentence")
    assert wrong == []


def test_every_room_lists_its_public_names() -> None:
    rooms = [path for path in SOURCE.iterdir() if (path / "__init__.py").exists()]
    assert rooms
    wrong = []
    for room in rooms:
        body = parse(room / "__init__.py").body[1:]
        only_names = all(
            isinstance(node, ast.Import | ast.ImportFrom | ast.Assign) for node in body
        )
        listed = any(isinstance(node, ast.Assign) for node in body)
        if not only_names or (not listed and body):
            wrong.append(room.name)
    assert wrong == [], "a room's __init__.py holds imports and __all__, nothing else"


def test_rooms_are_entered_through_their_doors() -> None:
    wrong = []
    for path in sources():
        for line, module in imports(parse(path)):
            parts = module.split(".")
            if parts[0] == "axon" and len(parts) > 2 and parts[1] != room_of(path):
                wrong.append(f"{place(path)}:{line} imports {module}; use axon.{parts[1]}")
    assert wrong == []


def called(tree: ast.Module, name: str) -> list[int]:
    """Return the lines that use `module.attribute`, by its full name or imported from it."""
    module, _, attribute = name.rpartition(".")
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == attribute:
            if isinstance(node.value, ast.Name) and node.value.id == module:
                lines.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == module:
            lines.extend(node.lineno for alias in node.names if alias.name == attribute)
    return lines


@pytest.mark.parametrize("name", sorted(OWNED_CALLS))
def test_calls_stay_in_the_rooms_that_own_them(name: str) -> None:
    owners, reason = OWNED_CALLS[name]
    wrong = [
        f"{place(path)}:{line}"
        for path in sources()
        if room_of(path) not in owners
        for line in called(parse(path), name)
    ]
    assert wrong == [], f"{name} belongs to {sorted(owners)}: {reason}"


def test_the_check_of_owned_calls_sees_both_spellings() -> None:
    tree = ast.parse("import os\nfrom os import fsync\nos.fsync(3)\n")
    assert called(tree, "os.fsync") == [2, 3]


def test_no_file_names_a_machine_or_a_registry() -> None:
    leaks = []
    for path in tracked():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a golden file of bytes
        for number, line in enumerate(text.splitlines(), 1):
            if LEAKS.search(line):
                leaks.append(f"{place(path)}:{number} {line.strip()[:80]}")
    assert leaks == []


def test_locks_have_hashes_and_name_no_index() -> None:
    for lock in ("run", "dev", "model"):
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        pins = re.findall(r"^[\w.-]+==[^\s;]+", text, re.MULTILINE)
        assert pins, lock
        assert "://" not in text
        for block in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]:
            assert "--hash=sha256:" in block, block
