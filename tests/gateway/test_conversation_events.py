"""What happens in a conversation, as every open device sees it."""

import contextlib
import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from openai import OpenAI

from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
TIMEOUT_S = 30.0
Json = dict[str, Any]


@dataclass
class Device:
    """One open stream, read in a thread."""

    response: http.client.HTTPResponse
    connection: socket.socket
    last_event_id: str = ""
    began: threading.Event = field(default_factory=threading.Event)
    events: "queue.Queue[Json | None]" = field(default_factory=queue.Queue)

    def read(self) -> None:
        try:
            for block in self._blocks():
                fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
                self.last_event_id = fields.get("id", self.last_event_id)
                self.began.set()
                if "data" in fields:
                    data = json.loads(fields["data"])
                    assert data["type"] == fields["event"]
                    self.events.put(data | {"_id": fields.get("id")})
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # closed by the test
        self.events.put(None)

    def _blocks(self) -> Iterator[list[str]]:
        block: list[str] = []
        while raw := self.response.readline():
            line = raw.decode().rstrip("\n")
            if line:
                block.append(line)
            elif block:
                yield block
                block = []

    def hang_up(self) -> None:
        """Close the connection under the thread that reads it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def next(self) -> Json:
        event = self.events.get(timeout=TIMEOUT_S)
        assert event is not None, "the stream ended"
        return event

    def take(self, count: int) -> list[Json]:
        return [self.next() for _ in range(count)]

    def ended(self) -> bool:
        return self.events.get(timeout=TIMEOUT_S) is None


@contextmanager
def asked(
    axon: RunningAxon, name: str, last_event_id: str | None
) -> Iterator[tuple[http.client.HTTPResponse, socket.socket]]:
    """Ask for a conversation's events."""
    address = urlsplit(axon.base_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_S)
    headers = {"authorization": f"Bearer {axon.api_key}"}
    if last_event_id is not None:
        headers["last-event-id"] = last_event_id
    connection.request("GET", f"{address.path}/conversations/{name}/events", headers=headers)
    with contextlib.closing(connection), connection.getresponse() as response:
        yield response, connection.sock


@contextmanager
def device(axon: RunningAxon, name: str, last_event_id: str | None = None) -> Iterator[Device]:
    with asked(axon, name, last_event_id) as (response, connection):
        assert response.status == 200, response.read()
        assert str(response.getheader("content-type")).startswith("text/event-stream")
        opened = Device(response, connection)
        reader = threading.Thread(target=opened.read)
        reader.start()
        assert opened.began.wait(TIMEOUT_S)
        try:
            yield opened
        finally:
            opened.hang_up()
            reader.join(TIMEOUT_S)


def item(text: str) -> Json:
    return {"type": "message", "role": "user", "content": text}


def post(client: OpenAI, path: str, body: Json) -> Json:
    return client.post(path, body=body, cast_to=Json)


def plain(events: list[Json]) -> list[Json]:
    return [{key: value for key, value in event.items() if key != "_id"} for event in events]


def test_every_change_reaches_every_device(client: OpenAI, axon: RunningAxon) -> None:
    made = client.conversations.create(items=[item("before")])  # type: ignore[list-item]
    with device(axon, made.id) as phone, device(axon, made.id) as laptop:
        response = client.responses.create(model=MODEL, input="hello", conversation=made.id)
        added = post(client, f"/conversations/{made.id}/items", {"items": [item("x"), item("y")]})
        update = {"title": "t", "metadata": {"k": "v"}, "archived": True}
        post(client, f"/conversations/{made.id}", update)
        first = added["data"][0]["id"]
        client.delete(f"/conversations/{made.id}/items/{first}", cast_to=Json)
        client.conversations.delete(made.id)
        seen = phone.take(11)
        assert phone.ended()
        assert laptop.take(11) == seen
    assert [event["type"].removeprefix("conversation.") for event in seen] == [
        *("response.started", "item.created", "item.created", "response.ended"),
        *("item.created", "item.created", "updated", "updated", "updated"),
        *("item.deleted", "deleted"),
    ]
    assert {event["conversation_id"] for event in seen} == {made.id}
    assert [event["_id"] for event in seen] == [
        *(None, "2.1", "2", None, "3.1", "3", "4.1", "4.2", "4", "5", "6"),
    ]
    assert [seen[n]["response_id"] for n in range(4)] == [response.id] * 4
    assert seen[3]["status"] == "completed"
    assert seen[2]["item"]["id"] == response.output[0].id
    assert [event["item"] for event in seen[4:6]] == added["data"]
    told = [{k: event.get(k) for k in ("change", *update) if k in event} for event in seen[6:9]]
    assert told == [
        {"change": "metadata", "metadata": {"k": "v"}},
        {"change": "renamed", "title": "t"},
        {"change": "archived", "archived": True},
    ]
    assert seen[9]["item_id"] == first


def test_a_reconnect_goes_on_exactly_where_it_stood(client: OpenAI, axon: RunningAxon) -> None:
    """At each event in turn, whether PostgreSQL or the tail tells what was missed."""
    made = client.conversations.create()
    with device(axon, made.id) as whole:
        begin = str(whole.last_event_id)
        for number in range(6):
            items = [item(f"{number} {n}") for n in range(3)]
            post(client, f"/conversations/{made.id}/items", {"items": items})
            client.responses.create(model=MODEL, input=f"{number}", conversation=made.id)
        events = [event for event in whole.take(6 * 7) if event["_id"] is not None]
    assert len(events) == 6 * 5
    for place in range(0, 6 * 5, 4):
        last = events[place - 1]["_id"] if place else begin
        with device(axon, made.id, last) as again:
            assert again.take(len(events) - place) == events[place:]
            post(client, f"/conversations/{made.id}/items", {"items": [item(f"at {place}")]})
            events.append(again.next())
            assert events[-1]["item"]["content"][0]["text"] == f"at {place}"


def test_a_running_response_is_shown_to_who_comes_later(client: OpenAI, axon: RunningAxon) -> None:
    made = client.conversations.create()
    slow = "[[chunks:40]] [[delay_ms:20]]"
    with client.responses.stream(model=MODEL, input=slow, conversation=made.id) as stream:
        running = next(iter(stream)).response.id  # type: ignore[union-attr]
        with device(axon, made.id) as late:
            assert plain([late.next()]) == [
                {
                    "type": "response.started",
                    "conversation_id": made.id,
                    "response_id": running,
                }
            ]
            stream.until_done()
            kinds = [event["type"] for event in late.take(3)]
    assert kinds == ["conversation.item.created"] * 2 + ["response.ended"]


@pytest.mark.parametrize(
    ("last_event_id", "status", "code"),
    [("x", 400, "invalid_cursor"), ("1.x", 400, "invalid_cursor"), ("7", 410, "cursor_expired")],
)
def test_a_bad_event_id_is_refused(
    client: OpenAI, axon: RunningAxon, last_event_id: str, status: int, code: str
) -> None:
    made = client.conversations.create()
    with asked(axon, made.id, last_event_id) as (answer, _):
        assert (answer.status, json.load(answer)["error"]["code"]) == (status, code)


def test_nobody_follows_what_is_not_there(client: OpenAI, axon: RunningAxon) -> None:
    gone = client.conversations.create().id
    client.conversations.delete(gone)
    for name in ("conv_" + "0" * 50, gone):
        with asked(axon, name, None) as (answer, _):
            assert answer.status == 404
