"""One conversation with the real model through everything `axon up` starts, by shape only."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseTextDeltaEvent

from axon.app.embedded.model import find_model

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_S = 30
OUTPUT_TOKENS_MAX = 16

pytestmark = pytest.mark.skipif(
    find_model(Path()) is None or find_spec("xllamacpp") is None,
    reason="the embedded engine or its model is not installed: make install",
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[OpenAI]:
    """The SDK in front of an `axon up` that was given nothing but a folder and a port."""
    command = [sys.executable, "-m", "axon.app.cli", "up", "--port", "0", "--json", "--data"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        [*command, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    ready: dict[str, Any] = json.loads(process.stdout.readline())
    assert ready["pids"]["engine"]
    with OpenAI(base_url=ready["base_url"], api_key=ready["api_key"], max_retries=0) as client:
        yield client
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=ENDS_WITHIN_S)
    assert process.returncode == 0


def say(client: OpenAI, conversation: str, text: str) -> tuple[str, Response]:
    """Return the text as it was streamed, and the response that ended the stream."""
    stream = client.responses.create(
        model=client.models.list().data[0].id,
        input=text,
        conversation=conversation,
        max_output_tokens=OUTPUT_TOKENS_MAX,
        stream=True,
    )
    events = list(stream)
    deltas = [event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)]
    (ended,) = [
        event.response
        for event in events
        if event.type in ("response.completed", "response.incomplete")
    ]
    return "".join(deltas), ended


def test_a_real_model_answers_twice_and_remembers_its_prompt(client: OpenAI) -> None:
    conversation = client.conversations.create().id
    answers = [say(client, conversation, text) for text in ("My name is Ada.", "What is it?")]
    for streamed, response in answers:
        assert streamed
        assert response.output_text == streamed
        assert response.usage is not None
        assert 0 < response.usage.output_tokens <= OUTPUT_TOKENS_MAX
    first, second = (response.usage for _, response in answers)
    assert first is not None and second is not None
    assert second.input_tokens > first.input_tokens + first.output_tokens
    assert second.input_tokens_details.cached_tokens > 0, "the engine kept the first turn"
    items = client.conversations.items.list(conversation, order="asc").data
    assert [getattr(item, "role", "") for item in items] == ["user", "assistant"] * 2
