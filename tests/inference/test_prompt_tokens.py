"""Counting a whole prompt, as an engine's chat template makes it."""

import pytest

from axon.inference import Upstream
from tests.fake_upstream import FakeUpstream
from tests.inference.raw_server import RawServer, whole
from tests.inference.scene import Scene, at

PROMPT = b'"messages":[{"role":"user","content":"one two three"}]'


@pytest.mark.parametrize("tokenize", ["llama", "vllm"])
async def test_an_engine_counts_its_template_too(tokenize: str) -> None:
    async with FakeUpstream(tokenize=tokenize) as upstream, Scene(at(upstream)) as scene:
        for _ in range(2):
            assert await scene.inference.count_prompt(scene.model, PROMPT) == 13
        paths = [seen.path for seen in upstream.ledger]
        assert len(set(paths[-2:])) == 1, "its dialect is known now"


async def test_an_engine_that_cannot_is_asked_once() -> None:
    async with FakeUpstream() as upstream, Scene(at(upstream)) as scene:
        for _ in range(2):
            assert await scene.inference.count_prompt(scene.model, PROMPT) is None
        assert upstream.requests == 2, "once in each dialect"


async def test_an_engine_in_trouble_is_asked_again_later() -> None:
    trouble, fine = whole("{}", "503 No"), whole('{"input_tokens":7}')
    async with RawServer(trouble, whole("nonsense"), fine, close=False) as server:
        up = Upstream(name="raw", base_url=server.origin, model="tiny")
        async with Scene(up) as scene:
            counts = [await scene.inference.count_prompt(scene.model, PROMPT) for _ in range(2)]
            assert counts == [None, 7]


async def test_the_next_engine_counts_when_the_first_cannot() -> None:
    nowhere = Upstream(name="nowhere", base_url="http://127.0.0.1:9", model="tiny")
    async with FakeUpstream(tokenize="vllm") as fake, Scene(nowhere, at(fake, order=1)) as scene:
        assert await scene.inference.count_prompt(scene.model, PROMPT) == 13


async def test_a_count_has_a_bound_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axon.inference.prompt_tokens.PROMPT_TIMEOUT_S", 0.05)
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"
    async with RawServer(half, close=False) as server:
        up = Upstream(name="raw", base_url=server.origin, model="tiny")
        async with Scene(up) as scene:
            assert await scene.inference.count_prompt(scene.model, PROMPT) is None
