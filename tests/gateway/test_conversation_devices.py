"""Two devices, two hundred changes, lost connections: in the end both show what the server has."""

import random
from typing import Any

from openai import OpenAI

from tests.gateway.conftest import RunningAxon
from tests.gateway.test_conversation_events import Json, device

MODEL = "fake-model"
CHANGES = 200
SEED = 20


class Writer:
    """Somebody who changes a conversation in every way there is."""

    def __init__(self, client: OpenAI, name: str, chance: random.Random) -> None:
        self.client, self.name, self.chance = client, name, chance
        self.items: list[str] = []

    def post(self, path: str, body: Json) -> Json:
        return self.client.post(f"/conversations/{self.name}{path}", body=body, cast_to=Json)

    def change(self, number: int) -> None:
        choice = self.chance.randrange(10)
        if choice < 2:
            answer = self.client.responses.create(
                model=MODEL, input=f"{number}", conversation=self.name, truncation="auto"
            )
            assert answer.status == "completed"
        elif choice < 5:
            count = self.chance.randint(1, 3)
            items = [{"role": "user", "content": f"{number} {n}"} for n in range(count)]
            self.items += [item["id"] for item in self.post("/items", {"items": items})["data"]]
        elif choice < 7 and self.items:
            gone = self.items.pop(self.chance.randrange(len(self.items)))
            self.client.delete(f"/conversations/{self.name}/items/{gone}", cast_to=Json)
        else:
            archived = self.chance.random() < 0.5
            self.post("", {"title": f"{number}", "archived": archived, "metadata": {}})


class View:
    """What a device shows."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.members: dict[str, Any] = {}
        self.last = "0"
        self.seen = 0

    def take(self, event: Json) -> None:
        kind = event["type"].removeprefix("conversation.")
        if event["_id"] is not None:
            self.last = event["_id"]
            self.seen += 1
        if kind == "item.created":
            assert event["item"] not in self.items
            self.items.append(event["item"])
        elif kind == "item.deleted":
            self.items = [item for item in self.items if item["id"] != event["item_id"]]
        elif kind == "updated":
            self.members |= {n: event[n] for n in ("title", "archived", "metadata") if n in event}

    def sync(self, client: OpenAI, cursor: str, limit: int) -> str:
        """Take one page of the feed; return where the next begins."""
        query = {"cursor": cursor, "limit": limit, "user": "two devices"}
        page = client.get("/sync", options={"params": query}, cast_to=Json)
        for change in page["data"]:
            for item in change["items"]:
                assert item not in self.items
                self.items.append(item)
            if change["type"] == "item_deleted":
                self.items = [one for one in self.items if one["id"] not in change["item_ids"]]
            self.members = {n: change["conversation"][n] for n in ("title", "archived", "metadata")}
            self.seen += 1
        return str(page["cursor"])


def test_two_devices_end_with_what_the_server_has(client: OpenAI, axon: RunningAxon) -> None:
    chance = random.Random(SEED)
    everything = client.get("/sync", options={"params": {"user": "two devices"}}, cast_to=Json)
    cursor = everything["cursor"]
    made = client.post("/conversations", body={"user": "two devices"}, cast_to=Json)
    writer, phone, laptop = Writer(client, made["id"], chance), View(), View()
    number = 0
    while number < CHANGES:
        with device(axon, made["id"], phone.last) as open_phone:
            for _ in range(chance.randint(1, 12)):
                writer.change(number)
                number += 1
                if chance.random() < 0.3:
                    cursor = laptop.sync(client, cursor, chance.randint(1, 10))
            for _ in range(chance.randrange(6)):
                while not open_phone.events.empty():
                    phone.take(open_phone.next())
        for _ in range(chance.randrange(8)):  # these happen while it is away
            writer.change(number)
            number += 1
    with device(axon, made["id"], phone.last) as open_phone:
        writer.post("", {"title": "the end"})
        while phone.members.get("title") != "the end":
            phone.take(open_phone.next())
    while (after := laptop.sync(client, cursor, 100)) != cursor:
        cursor = after
    listed = client.conversations.items.list(made["id"], order="asc", limit=100)
    items = [item.to_dict() for item in listed]
    now_is = client.get(f"/conversations/{made['id']}", cast_to=Json)
    for view in (phone, laptop):
        assert [item["id"] for item in view.items] == [item["id"] for item in items]
        assert {name: now_is[name] for name in view.members} == view.members
        assert view.seen > CHANGES / 2
