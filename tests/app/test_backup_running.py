"""The whole course: a backup of a running Axon, PostgreSQL lost, and every turn there again."""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.gateway.conftest import RunningAxon, start_axon, start_upstream, stop
from tests.promises.reading import read_conversation

MODEL = "fake-model"
RUN_WITHIN_S = 60
LOOKS_MAX = 600
"""At /status, 50 ms apart."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    process, address = start_upstream()
    with process:
        yield address
        process.kill()


def axon(running: RunningAxon, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "axon.app.cli", *arguments, "--data", str(running.data)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_WITHIN_S, check=False
    )


def done(running: RunningAxon, *arguments: str) -> str:
    finished = axon(running, *arguments)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def until_projected(running: RunningAxon) -> None:
    """Return when PostgreSQL has every record."""
    for _ in range(LOOKS_MAX):
        with urllib.request.urlopen(f"{running.origin}/status", timeout=30) as answer:
            if json.load(answer)["journal"]["lag_records"] == 0:
                return
        time.sleep(0.05)
    raise AssertionError("PostgreSQL is behind")


class Chat:
    """What a person did, and what has to be there afterwards."""

    def __init__(self, client: OpenAI) -> None:
        self.client = client
        self.said: dict[str, list[str]] = {}

    def conversation(self, **members: Any) -> str:
        made = self.client.conversations.create(**members)
        self.said[made.id] = []
        return made.id

    def turn(self, conversation: str, text: str, key: str = "") -> str:
        answer = self.client.responses.create(
            model=MODEL,
            input=f"{text}? [[text:{text}!]]",
            conversation=conversation,
            extra_headers={"Idempotency-Key": key} if key else {},
        )
        self.said[conversation] += [f"{text}? [[text:{text}!]]", f"{text}!"]
        return answer.id

    def update(self, conversation: str, **members: Any) -> None:
        self.client.post(f"/conversations/{conversation}", body=members, cast_to=object)

    def delete_first_item(self, conversation: str) -> None:
        items = self.client.conversations.items.list(conversation, order="asc", limit=1)
        item = next(iter(items)).id
        assert item is not None
        self.client.conversations.items.delete(item, conversation_id=conversation)
        del self.said[conversation][0]

    def delete(self, conversation: str) -> None:
        self.client.conversations.delete(conversation)
        del self.said[conversation]

    def check(self) -> None:
        """Demand every conversation as it was left, each turn once and in order."""
        for conversation, said in self.said.items():
            found = [one.text for one in read_conversation(self.client, conversation)]
            assert found == said
        listed = self.client.get("/conversations?limit=100", cast_to=object)
        assert {one["id"] for one in listed["data"]} == set(self.said)  # type: ignore[index]


@pytest.mark.failure("postgresql", "wiped")
def test_postgresql_is_lost_and_an_old_backup_is_all_there_is(
    tmp_path: Path, upstream: str
) -> None:
    process, running = start_axon(tmp_path / "data", upstream)
    with running.sync_client() as client:
        chat = Chat(client)
        kept, renamed, cut, gone = (chat.conversation() for _ in range(4))
        for conversation in chat.said:
            chat.turn(conversation, "before")
        early = chat.turn(kept, "with a key", "key-before")
        chat.turn(kept, "last one before")
        backup = tmp_path / "content.backup"
        assert "rows" in done(running, "backup", str(backup))
        assert "until" in done(running, "backup", "--keys", str(tmp_path / "keys.backup"))

        late = chat.turn(kept, "after", "key-after")
        chat.update(renamed, title="a new title", metadata={"k": "v"})
        chat.delete_first_item(cut)
        chat.turn(cut, "after the cut")
        chat.delete(gone)
        chat.turn(chat.conversation(metadata={"made": "later"}), "only in the journal")
        until_projected(running)
        refused = axon(running, "restore", str(backup))
        assert refused.returncode == 1 and "already runs" in refused.stderr
    stop(process)

    shutil.rmtree(running.data / "postgres")
    told = done(running, "restore", str(backup))
    assert "records of the journal applied" in told

    process, running = start_axon(running.data, upstream)
    with running.sync_client() as client:
        chat.client = client
        chat.check()
        found = client.get(f"/conversations/{renamed}", cast_to=object)
        assert (found["title"], found["metadata"]) == ("a new title", {"k": "v"})  # type: ignore[index]
        with pytest.raises(openai.NotFoundError):
            client.conversations.retrieve(gone)
        for key, made in (("key-before", early), ("key-after", late)):
            text = "with a key" if key == "key-before" else "after"
            again = client.responses.create(
                model=MODEL,
                input=f"{text}? [[text:{text}!]]",
                conversation=kept,
                extra_headers={"Idempotency-Key": key},
            )
            assert again.id == made
        for conversation in chat.said:
            chat.turn(conversation, "and on")
        chat.check()
    stop(process)


def test_a_lost_disk_comes_back_from_keyring_content_and_keys(
    tmp_path: Path, upstream: str
) -> None:
    process, running = start_axon(tmp_path / "data", upstream)
    with running.sync_client() as client:
        chat = Chat(client)
        conversation = chat.conversation()
        chat.turn(conversation, "before")
        until_projected(running)
        done(running, "keyring", "backup", str(tmp_path / "keyring.json"))
        done(running, "backup", "--keys", str(tmp_path / "keys"))
    stop(process)
    assert "rows" in done(running, "backup", str(tmp_path / "content"))  # needs no running Axon
    damaged = bytearray((tmp_path / "content").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    shutil.rmtree(running.data)
    without = axon(running, "restore", str(tmp_path / "content"))
    assert without.returncode == 1 and "no keyring" in without.stderr

    shutil.copy(tmp_path / "keyring.json", running.data / "keyring.json")
    refused = axon(running, "restore", str(tmp_path / "damaged"))
    assert refused.returncode == 1 and "damaged" in refused.stderr
    done(running, "restore", str(tmp_path / "content"))
    done(running, "restore", str(tmp_path / "keys"))
    process, running = start_axon(running.data, upstream)
    with running.sync_client() as client:
        chat.client = client
        chat.check()
        chat.turn(conversation, "after")
        chat.check()
    stop(process)
