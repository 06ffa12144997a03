"""Embeddings through the official SDK: relayed, and what was embedded before from memory."""

import base64
import json
import re
import struct
import urllib.request
from typing import Any

import openai
import pytest
from openai import OpenAI

from axon.journal import JournalReader
from axon.records import TurnAccepted, TurnCompleted, decode
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
Body = dict[str, object]


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def asked(axon: RunningAxon, text: str) -> list[Any]:
    """Return the inputs of every embeddings request the upstream saw that holds `text`."""
    seen = json.loads(read(f"{axon.upstream}/ledger"))
    bodies = [line["body"] for line in seen if line["path"].endswith("/embeddings")]
    return [body["input"] for body in bodies if text in str(body["input"])]


def counted(axon: RunningAxon) -> tuple[int, int]:
    """Return the cache's hits and misses so far."""
    page = read(f"{axon.origin}/metrics")
    found = [
        re.search(rf"^axon_embedding_cache_{name}_total (\S+)$", page, re.MULTILINE)
        for name in ("hits", "misses")
    ]
    hits, misses = (int(float(match[1])) if match else 0 for match in found)
    return hits, misses


def test_the_vectors_are_the_engines(client: OpenAI, axon: RunningAxon) -> None:
    made = client.embeddings.create(model=MODEL, input=["vec one", "vec two"], dimensions=3)
    assert [one.index for one in made.data] == [0, 1]
    assert all(len(one.embedding) == 3 for one in made.data)
    assert (made.object, made.model) == ("list", MODEL)
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (4, 4)
    seen = json.loads(read(f"{axon.upstream}/ledger"))
    body = next(
        line["body"] for line in seen if "vec one" in str((line["body"] or {}).get("input"))
    )
    assert body == {
        "model": MODEL,
        "input": ["vec one", "vec two"],
        "dimensions": 3,
        "encoding_format": "base64",
    }


def test_only_what_is_missing_is_asked_for(client: OpenAI, axon: RunningAxon) -> None:
    first = client.embeddings.create(model=MODEL, input=["part a", "part b"])
    before = counted(axon)
    mixed = client.embeddings.create(
        model=MODEL, input=["part c", "part b", "part d", "part a", "part c"]
    )
    assert asked(axon, "part") == [["part a", "part b"], ["part c", "part d"]]
    assert mixed.data[1].embedding == first.data[1].embedding
    assert mixed.data[3].embedding == first.data[0].embedding
    assert mixed.data[0].embedding == mixed.data[4].embedding
    assert [one.index for one in mixed.data] == [0, 1, 2, 3, 4]
    assert mixed.usage.prompt_tokens == 4, "what the engine counted"
    again = client.embeddings.create(model=MODEL, input="part d")
    assert again.data[0].embedding == mixed.data[2].embedding
    assert again.usage.total_tokens == 0, "no engine was asked"
    hits, misses = counted(axon)
    assert (hits - before[0], misses - before[1]) == (4, 2)


def test_another_person_or_another_parameter_asks_again(client: OpenAI, axon: RunningAxon) -> None:
    for user in ("ann", "bob", "ann"):
        client.embeddings.create(model=MODEL, input="shared text", user=user)
    client.embeddings.create(model=MODEL, input="shared text", user="ann", dimensions=2)
    client.embeddings.create(model="other-model", input="shared text", user="ann")
    assert len(asked(axon, "shared text")) == 4


@pytest.mark.parametrize("model", [MODEL, "floats-only"])
def test_both_encodings_say_the_same(client: OpenAI, model: str) -> None:
    body: Body = {"model": model, "input": "twice"}
    floats: Any = client.post(
        "/embeddings", cast_to=object, body={**body, "encoding_format": "float"}
    )
    packed: Any = client.post(
        "/embeddings", cast_to=object, body={**body, "encoding_format": "base64"}
    )
    numbers = floats["data"][0]["embedding"]
    data = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack(f"<{len(numbers)}f", data) == pytest.approx(numbers)


def test_tokens_are_inputs_too(client: OpenAI, axon: RunningAxon) -> None:
    assert len(client.embeddings.create(model=MODEL, input=[77001, 2, 3]).data) == 1
    assert len(client.embeddings.create(model=MODEL, input=[[77001, 2, 3], [77001, 5]]).data) == 2
    assert asked(axon, "77001") == [[77001, 2, 3], [[77001, 5]]]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"input": "x"}, "model", "missing_required_parameter"),
        ({"model": MODEL}, "input", "missing_required_parameter"),
        ({"model": MODEL, "input": ""}, "input", "invalid_value"),
        ({"model": MODEL, "input": []}, "input", "invalid_value"),
        ({"model": MODEL, "input": ["a", ""]}, "input", "invalid_value"),
        ({"model": MODEL, "input": [[]]}, "input", "invalid_value"),
        ({"model": MODEL, "input": ["a", 1]}, "input", "invalid_type"),
        ({"model": MODEL, "input": {"a": 1}}, "input", "invalid_type"),
        ({"model": MODEL, "input": ["a"] * 2049}, "input", "array_above_max_length"),
        ({"model": MODEL, "input": "a", "dimensions": 0}, "dimensions", "invalid_value"),
        (
            {"model": MODEL, "input": "a", "encoding_format": "hex"},
            "encoding_format",
            "invalid_value",
        ),
    ],
)
def test_bad_requests(client: OpenAI, body: Body, param: str, code: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/embeddings", cast_to=object, body=body)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_the_journal_says_who_asked_and_holds_neither_text_nor_vector(
    client: OpenAI, axon: RunningAxon
) -> None:
    client.embeddings.create(model=MODEL, input=[f"{n} " + "word" * 200 for n in range(20)])
    [folder] = [path for path in (axon.data / "journal").iterdir() if path.is_dir()]
    entries = JournalReader(folder).read(0, 1_000_000, 1 << 30)
    records = [decode(entry.kind, entry.payload) for entry in entries]
    mine = [
        record
        for record in records
        if isinstance(record, TurnAccepted | TurnCompleted) and record.head.surface == "embeddings"
    ]
    accepted, completed = mine[-2:]
    assert isinstance(accepted, TurnAccepted) and len(accepted.request) < 200
    assert accepted.input == [] and accepted.body_mac != b""
    assert isinstance(completed, TurnCompleted) and len(completed.answer) < 300
    assert completed.input == completed.output == []
    assert completed.usage.input_tokens == 40


def test_a_retry_is_answered_with_vectors_too(client: OpenAI) -> None:
    again = {"idempotency-key": "embed-once", "x-stainless-retry-count": "1"}
    made = [
        client.embeddings.create(model=MODEL, input="once more", extra_headers=again)
        for _ in range(2)
    ]
    assert made[0].data == made[1].data and made[0].data
