"""A small client of the conversations and responses API; it blocks, as a terminal may."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

import msgspec

from axon.base import MIB, AxonError

ANSWER_TIMEOUT_S = 600.0
"""As long as the OpenAI client waits."""

_LINE_BYTES_MAX = 16 * MIB
"""The last event of a stream holds the whole answer on one line."""


class ChatFailed(AxonError):
    """Axon did not answer."""


class _Error(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Error | None = None


class _Identified(msgspec.Struct):
    id: str


class _Listed(msgspec.Struct):
    data: list[_Identified]


class _Text(msgspec.Struct):
    text: str = ""


class _Item(msgspec.Struct):
    type: str = "message"
    role: str = ""
    content: list[_Text] = []


class _Items(msgspec.Struct):
    data: list[_Item]


class _Answer(msgspec.Struct):
    error: _Error | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: str = ""
    message: str = ""
    response: _Answer | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer as it comes: some text, or how the answer ended."""

    kind: Literal["text", "completed", "incomplete"]
    text: str = ""


class ChatClient:
    """Speaks to one Axon with one API key; a new connection for every call."""

    def __init__(self, base_url: str, api_key: str) -> None:
        """`base_url` ends in /v1."""
        self._url = urlsplit(base_url.rstrip("/"))
        self._api_key = api_key

    def first_model(self) -> str:
        """Return the first model on offer; raises ChatFailed."""
        models = msgspec.json.decode(self._call("GET", "/models"), type=_Listed).data
        if not models:
            raise ChatFailed("it offers no model")
        return models[0].id

    def create_conversation(self) -> str:
        """Return the id of a new conversation; raises ChatFailed."""
        return msgspec.json.decode(self._call("POST", "/conversations", {}), type=_Identified).id

    def last_messages(self, conversation: str, count: int) -> list[tuple[str, str]]:
        """Return the newest messages as (author, text), oldest first; raises ChatFailed."""
        path = f"/conversations/{quote(conversation)}/items?limit={count}&order=desc"
        items = msgspec.json.decode(self._call("GET", path), type=_Items).data
        return [
            (item.role, "".join(part.text for part in item.content))
            for item in reversed(items)
            if item.type == "message"
        ]

    def say(self, conversation: str, model: str, text: str) -> Iterator[Piece]:
        """Yield the answer as it is generated; raises ChatFailed.

        Stopping early, or losing the connection, costs nothing: the answer is finished and kept.
        """
        body = {"model": model, "input": text, "conversation": conversation, "stream": True}
        with closing(self._connect()) as connection:
            answer = self._send(connection, "POST", "/responses", body)
            try:
                while line := answer.readline(_LINE_BYTES_MAX):
                    if line.startswith(b"data:"):
                        yield from _pieces(line[5:].strip())
            except (OSError, http.client.HTTPException) as error:
                raise ChatFailed(f"the connection broke: {error}") from error

    def _call(self, method: str, path: str, body: object = None) -> bytes:
        with closing(self._connect()) as connection:
            try:
                return self._send(connection, method, path, body).read()
            except (OSError, http.client.HTTPException) as error:
                raise ChatFailed(f"the connection broke: {error}") from error

    def _connect(self) -> http.client.HTTPConnection:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._url.hostname or "", self._url.port, timeout=ANSWER_TIMEOUT_S)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: object
    ) -> http.client.HTTPResponse:
        """Return the answer's head; raises ChatFailed with what Axon says when it refuses."""
        headers = {"authorization": f"Bearer {self._api_key}", "content-type": "application/json"}
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, self._url.path + path, content, headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            place = f"{self._url.scheme}://{self._url.netloc}"
            raise ChatFailed(f"{place}: {error}; is `axon up` running?") from error
        if answer.status >= 400:
            raise ChatFailed(_refusal(answer))
        return answer


def _refusal(answer: http.client.HTTPResponse) -> str:
    try:
        error = msgspec.json.decode(answer.read(), type=_ErrorBody).error
    except (msgspec.DecodeError, OSError, http.client.HTTPException):
        error = None
    return f"{answer.status}: {error.message if error else answer.reason}"


def _pieces(data: bytes) -> Iterator[Piece]:
    """Yield what one server-sent event means to a reader of the answer."""
    try:
        event = msgspec.json.decode(data, type=_Event)
    except msgspec.DecodeError:
        return  # [DONE], or an event of a later version
    if event.type == "response.output_text.delta":
        yield Piece("text", event.delta)
    elif event.type == "response.completed":
        yield Piece("completed")
    elif event.type == "response.incomplete":
        yield Piece("incomplete")
    elif event.type == "response.failed":
        error = event.response.error if event.response else None
        raise ChatFailed(error.message if error else "the answer failed")
    elif event.type == "error":
        raise ChatFailed(event.message)
