"""Engines that answer questions about themselves with nonsense: no list, no count, no failure."""

import pytest

from axon.inference import Upstream
from tests.inference.raw_server import RawServer, whole
from tests.inference.scene import HandClock, Scene
from tests.inference.test_directory import directory_of

NOT_TEXT = whole('{"data":[{"id":"??"}],"tokens":"??","count":"??"}').replace(b"??", b"\xff\xfe")
DEEP = whole('{"data":' + "[" * 100_000)
BODIES = [NOT_TEXT, DEEP, whole("null"), whole('{"data":[{"id":7}],"tokens":7,"count":"7"}')]


@pytest.mark.parametrize("body", BODIES, ids=["not text", "deep", "null", "wrong types"])
@pytest.mark.failure("engine", "lying")
async def test_an_engine_that_lies_about_itself_is_passed_over(body: bytes) -> None:
    async with RawServer(*[body] * 8, close=False) as server:
        engine = Upstream(name="raw", base_url=server.origin, model="any")
        directory, engines = directory_of(engine, HandClock())
        assert await directory.names() == ("mine",)
        await engines.close()
        async with Scene(engine) as scene:
            assert await scene.inference.count_tokens(scene.model, ["one two"]) is None
            assert await scene.inference.count_prompt(scene.model, b'"messages":[]') is None
