"""The native tools, fake upstream and load generator, compiled when their source changes."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
_NATIVE = Path(__file__).resolve().parent / "native"
_FLAGS = ("-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror")


def tool(name: str) -> Path:
    """Return the path of the compiled tool; raises CalledProcessError when gcc refuses it."""
    source, binary = _NATIVE / f"{name}.c", BUILD / name
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        fresh = binary.with_suffix(".new")
        subprocess.run(["gcc", *_FLAGS, "-o", str(fresh), str(source)], check=True, timeout=60)
        fresh.rename(binary)
    return binary
