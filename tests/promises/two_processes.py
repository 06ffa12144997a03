"""Talking to one of two serving processes behind a port, and knowing which."""

import json
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axon.base import instance_mark
from tests.gateway.conftest import RunningAxon
from tests.promises.reading import read_conversation

MODEL = "fake-model"
NAMES = ("serving", "serving-2")
CONNECTS_MAX = 2000


class Client(HTTPConnection):
    """A kept-alive connection to the public port, and so to one of the processes."""

    def __init__(self, axon: RunningAxon) -> None:
        super().__init__(urlsplit(axon.base_url).netloc, timeout=30)
        self.key = axon.api_key

    def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the decoded answer."""
        content = None if body is None else json.dumps(body)
        self.request(method, path, content, {"authorization": f"Bearer {self.key}", **headers})
        answer = self.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def served_by(self) -> str:
        """Return the name of the process at the other end."""
        instance: str = self.call("GET", "/status")[1]["journal"]["instance"]
        return instance.partition("-")[2]

    def metric(self, name: str) -> float:
        """Return a counter's sum over both processes."""
        self.request("GET", "/metrics")
        lines = self.getresponse().read().decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(f"{name}{{"))

    def turn(self, text: str, **members: object) -> tuple[int, Any]:
        """Take a turn."""
        body = {"model": MODEL, "input": text, **members}
        return self.call("POST", "/v1/responses", body)


def connect(axon: RunningAxon, name: str) -> Client:
    """Return a connection that the process of this name has accepted."""
    for _ in range(CONNECTS_MAX):
        client = Client(axon)
        if client.served_by() == name:
            return client
        client.close()
        time.sleep(0.005)  # the other may be restarting, or busier
    raise AssertionError(f"{name} accepts no connection")


def create(client: Client) -> str:
    """Return a new conversation."""
    status, made = client.call("POST", "/v1/conversations", {})
    assert status == 200
    identity: str = made["id"]
    return identity


def owner_of(object_id: str) -> str:
    """Return the process whose mark an id carries."""
    marks = {instance_mark(name).hex(): name for name in NAMES}
    return marks[object_id.rpartition("_")[2][18:22]]


def texts(axon: RunningAxon, conversation: str) -> list[str]:
    """Return what was said, oldest first."""
    with axon.sync_client() as client:
        return [message.text for message in read_conversation(client, conversation)]


def serving_pids(axon: RunningAxon) -> list[int]:
    """Return the living serving processes."""
    pids: list[int] = json.loads((axon.data / "up.json").read_text())["pids"].get("serving", [])
    return pids


def pid_of(axon: RunningAxon, name: str) -> int:
    """Return the process that runs at this name's place now."""
    place = str(NAMES.index(name) + 1).encode()
    for pid in serving_pids(axon):
        with suppress(FileNotFoundError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if b"AXON_HTTP_PLACE=" + place in variables:
                return pid
    raise AssertionError(f"{name} does not run")
