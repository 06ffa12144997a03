"""A URL in a request is text: Axon asks none of them (webhooks go through alerts' own guard)."""

import json
import socket
from typing import Any

from tests.gateway.conftest import RunningAxon
from tests.gateway.flag_calls import FlagCalls

MODEL = "fake-model"


def test_no_url_of_a_request_is_asked(axon: RunningAxon) -> None:
    call = FlagCalls(axon)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/secret.png"
        image = {"type": "image_url", "image_url": {"url": url}}
        told = call(
            "POST",
            "/v1/chat/completions",
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": [_text("[[echo]]"), image]}],
                "metadata": {"callback": url},
            },
        )
        assert told.status == 200
        heard = json.loads(told.body["choices"][0]["message"]["content"])
        assert heard[0]["content"][1] == image, "the engine is told as it came"
        items: list[dict[str, Any]] = [
            {"type": "input_image", "image_url": url, "detail": "auto"},
            {"type": "input_file", "file_url": url},
        ]
        for item in items:
            content = [{"type": "input_text", "text": "[[echo]]"}, item]
            turn = {"model": MODEL, "input": [{"role": "user", "content": content}]}
            assert call("POST", "/v1/responses", turn).status in (200, 400)
        tool = {"type": "mcp", "server_label": "x", "server_url": url}
        call("POST", "/v1/responses", {"model": MODEL, "input": "hello", "tools": [tool]})
        schema = {"$ref": url}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        messages = [{"role": "user", "content": "hello"}]
        call(
            "POST",
            "/v1/chat/completions",
            {"model": MODEL, "messages": messages, "response_format": form},
        )
        try:
            listener.accept()
        except BlockingIOError:
            return
        raise AssertionError("somebody asked")


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
