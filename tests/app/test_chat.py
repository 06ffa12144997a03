"""The terminal chat against a small real server that speaks the conversations and responses API."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from axon.app.chat import Chat, ChatClient, ChatFailed


class Handler(BaseHTTPRequestHandler):
    """Answers as Axon does; what is said chooses how the answer ends."""

    said: list[tuple[str, str]]

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._answer({"data": [{"id": "small"}, {"id": "large"}]})
        else:
            texts = ["an answer", "a question"]
            roles = ["assistant", "user"]
            pairs = zip(roles, texts, strict=True)
            items = [
                {"type": "message", "role": role, "content": [{"type": "text", "text": text}]}
                for role, text in pairs
            ]
            self._answer({"data": [*items, {"type": "function_call", "name": "f"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != "Bearer good":
            self._answer({"error": {"message": "Incorrect API key provided."}}, 401)
        elif self.path == "/v1/conversations":
            self._answer({"id": f"conv_{len(self.said)}"})
        else:
            self.said.append((body["conversation"], body["input"]))
            self._stream(body["input"])

    def _stream(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {"error": None}},
            {"type": "response.output_text.delta", "delta": "[b]Hel"},
            {"type": "response.output_text.delta", "delta": "lo"},
        ]
        last = {"fail": "failed", "cut": "incomplete"}.get(text, "completed")
        error = {"message": "out of ink"} if text == "fail" else None
        events.append({"type": f"response.{last}", "response": {"error": error}})
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def _answer(self, body: object, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing on stderr."""


class Scene:
    """The server, what it was told, and a chat with a console that can be read."""

    def __init__(self, server: ThreadingHTTPServer, folder: Path, said: list[tuple[str, str]]):
        self.base_url = f"http://127.0.0.1:{server.server_port}/v1"
        self.said = said
        self.remembered = folder / "last"
        self.client = ChatClient(self.base_url, "good")
        self._screen = io.StringIO()
        console = Console(file=self._screen, width=80)
        self.chat = Chat(self.client, "small", self.remembered, console)

    @property
    def shown(self) -> str:
        return self._screen.getvalue()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    said: list[tuple[str, str]] = []
    handler = type("OneScene", (Handler,), {"said": said})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Scene(server, tmp_path, said)
        server.shutdown()
        thread.join()


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let the person type these lines and then Ctrl-D."""
    typed = iter(lines)

    def read(prompt: str = "") -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)


def test_an_answer_is_shown_as_it_was_sent(scene: Scene) -> None:
    scene.chat.begin()
    scene.chat.say("hi")
    assert scene.shown == "[b]Hello\n"
    assert scene.said == [("conv_0", "hi")]


def test_the_first_model_on_offer_is_asked(scene: Scene) -> None:
    assert scene.client.first_model() == "small"


def test_lines_are_said_in_one_conversation_until_a_new_one_is_begun(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "one", "  ", "two", "/new", "three", "/help")
    scene.chat.begin()
    scene.chat.talk()
    assert scene.said == [("conv_0", "one"), ("conv_0", "two"), ("conv_2", "three")]
    assert "axon chat --continue" in scene.shown
    assert "/new begins" in scene.shown


def test_a_failed_answer_is_told_and_the_chat_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "fail", "again", "/exit", "never read")
    scene.chat.begin()
    scene.chat.talk()
    assert "out of ink" in scene.shown
    assert [text for _, text in scene.said] == ["fail", "again"]


def test_an_answer_cut_off_at_its_longest_says_so(scene: Scene) -> None:
    scene.chat.begin()
    scene.chat.say("cut")
    assert "cut off" in scene.shown


def test_a_conversation_is_continued_with_what_was_said_last(scene: Scene) -> None:
    scene.chat.begin()
    scene.chat.resume(Chat.last_conversation(scene.remembered))
    lines = [line.rstrip() for line in scene.shown.splitlines()]
    assert lines == ["you > a question", "axon > an answer"]


def test_without_an_earlier_conversation_there_is_nothing_to_continue(tmp_path: Path) -> None:
    with pytest.raises(ChatFailed, match="no conversation to continue"):
        Chat.last_conversation(tmp_path / "last")


def test_a_refusal_is_told_in_the_servers_words(scene: Scene) -> None:
    with pytest.raises(ChatFailed, match="401: Incorrect API key"):
        ChatClient(scene.base_url, "bad").create_conversation()


def test_a_server_that_is_not_there_is_named_with_the_command_that_starts_it() -> None:
    with pytest.raises(ChatFailed, match=r"127\.0\.0\.1:9.*axon up"):
        ChatClient("http://127.0.0.1:9/v1", "good").first_model()
