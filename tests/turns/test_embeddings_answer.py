"""Embeddings: the engine's vectors and the remembered ones in one answer, and the cache's bound."""

import json

import msgspec
import pytest

from axon.base import SystemRandomness
from axon.records import TokenUsage
from axon.turns import EmbeddingCache, EmbeddingPlan
from axon.turns.chunks import BrokenUpstream
from axon.turns.embedding_cache import ENTRY_BYTES
from axon.turns.embeddings import CACHE_UPSTREAM, EmbeddingsAnswer, FromCache

ANN = ("org_1", 1)


def new_cache(bytes_max: int = 1 << 20) -> EmbeddingCache:
    return EmbeddingCache(SystemRandomness(), bytes_max)


def plan(cache: EmbeddingCache, *texts: str, person: tuple[str, int] = ANN) -> EmbeddingPlan:
    return cache.plan(person, "m", {}, [json.dumps(text).encode() for text in texts])


def engine_says(*vectors: object, usage: int = 2) -> bytes:
    data = [{"index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return json.dumps({"data": data, "usage": {"prompt_tokens": usage}}).encode()


def body(answer: EmbeddingsAnswer) -> list[object]:
    closing = answer.close(answer.ending(), answer.usage or TokenUsage())
    assert b"embedding" not in closing.kept, "vectors are not journaled"
    return [one["embedding"] for one in json.loads(closing.body)["data"]]


def test_known_and_asked_are_put_together_in_order() -> None:
    cache = new_cache()
    first = EmbeddingsAnswer("m", plan(cache, "a"), as_base64=False)
    first.take_whole(engine_says([1.0]))
    asked = plan(cache, "b", "a", "c", "b")
    assert asked.asked == (0, 2)
    second = EmbeddingsAnswer("m", asked, as_base64=False)
    second.take_whole(engine_says([2.0], [3.0]))
    assert body(second) == [[2.0], [1.0], [3.0], [2.0]]
    assert second.usage == TokenUsage(input_tokens=2)


async def test_an_answer_from_memory_needs_no_engine() -> None:
    cache = new_cache()
    EmbeddingsAnswer("m", plan(cache, "a"), as_base64=False).take_whole(engine_says([1.0]))
    answer = EmbeddingsAnswer("m", plan(cache, "a"), as_base64=False)
    [output] = await FromCache().next_all()
    answer.take_whole(msgspec.structs.asdict(output)["data"])
    assert body(answer) == [[1.0]]
    assert answer.usage == TokenUsage()
    assert CACHE_UPSTREAM


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"data":[]}',
        b'{"error":{"message":"no"}}',
        b'{"data":[{"index":1,"embedding":[1]}]}',
        b'{"data":[{"index":0,"embedding":["x"]}]}',
        b'{"data":[{"index":0,"embedding":[1e300]}]}',
        engine_says([1.0], [2.0]),
    ],
)
def test_what_is_no_answer_is_the_engines_fault(data: bytes) -> None:
    cache = new_cache()
    with pytest.raises(BrokenUpstream):
        EmbeddingsAnswer("m", plan(cache, "a"), as_base64=True).take_whole(data)
    assert len(cache) == 0


def test_an_engine_that_names_no_places_answers_in_order() -> None:
    answer = EmbeddingsAnswer("m", plan(new_cache(), "a", "b"), as_base64=False)
    answer.take_whole(b'{"data":[{"embedding":[1]},{"embedding":[2]}]}')
    assert body(answer) == [[1], [2]]
    assert answer.usage is None, "nobody counted"


def test_a_vector_belongs_to_one_person_and_one_request() -> None:
    cache = new_cache()
    cache.keep(plan(cache, "a").keys[0], b"[1]")
    assert plan(cache, "a").asked == ()
    for person in (("org_1", 2), ("org_2", 1)):
        assert plan(cache, "a", person=person).asked == (0,)
    inputs = [b'"a"']
    assert cache.plan(ANN, "other", {}, inputs).asked == (0,)
    small = {"dimensions": msgspec.Raw(b"2")}
    assert cache.plan(ANN, "m", small, inputs).asked == (0,)
    who = {"user": msgspec.Raw(b'"ann"'), "input": msgspec.Raw(b'["a"]')}
    assert cache.plan(ANN, "m", who, inputs).asked == ()


def test_the_cache_is_bounded_in_bytes_and_keeps_what_is_used() -> None:
    vector = b"[1]"
    cache = new_cache(3 * (len(vector) + ENTRY_BYTES))
    keys = [plan(cache, str(number)).keys[0] for number in range(4)]
    for key in keys[:3]:
        cache.keep(key, vector)
    assert plan(cache, "0").asked == ()
    cache.keep(keys[3], vector)
    assert len(cache) == 3
    assert [plan(cache, str(n)).asked for n in range(4)] == [(), (0,), (), ()]
    cache.keep(plan(cache, "big").keys[0], b"x" * 10_000)
    assert len(cache) == 3, "what is larger than the bound is not kept"
