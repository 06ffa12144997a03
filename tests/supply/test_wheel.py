"""The wheel is the repository's src/axon, byte for byte, and brings no code that runs by itself."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from axon import __version__

ROOT = Path(__file__).resolve().parent.parent.parent
METADATA = {"METADATA", "WHEEL", "entry_points.txt", "RECORD", "licenses/LICENSE"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `make wheel` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


def of_the_repository() -> dict[str, Path]:
    """Return the files of src/axon that git knows, by their names in a wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "src/axon"], cwd=ROOT, check=True, capture_output=True
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return {name.removeprefix("src/"): ROOT / name for name in names}


def test_it_holds_the_files_of_the_repository_byte_for_byte_and_no_others(wheel: Path) -> None:
    known = of_the_repository()
    assert len(known) > 500
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert inside == set(known)
        differ = [name for name, path in known.items() if archive.read(name) != path.read_bytes()]
    assert differ == []


def test_nothing_in_it_runs_by_being_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = {name.partition(".dist-info/")[2] for name in names if ".dist-info/" in name}
        assert about == METADATA
        entry = next(name for name in names if name.endswith("entry_points.txt"))
        assert archive.read(entry).decode().split("\n")[:2] == [
            "[console_scripts]", "axon = axon.app.cli:main",
        ]  # fmt: skip
        (text,) = [archive.read(name).decode() for name in names if name.endswith("/WHEEL")]
        assert "Root-Is-Purelib: true" in text and "Tag: py3-none-any" in text
    roots = {name.partition("/")[0] for name in names}
    assert roots == {"axon", f"axon-{__version__}.dist-info"}
    runs = (".pth", ".egg-link", "sitecustomize.py", "usercustomize.py", ".so", ".pyd", ".exe")
    assert [name for name in names if name.endswith(runs)] == []
