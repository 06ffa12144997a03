"""Requests of auditors, officers and people, against the session's running Axon."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import requests

from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"

THERE_WITHIN_S = 60.0
"""Until PostgreSQL has what was acknowledged; milliseconds, on a machine that has time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Client:
    """Requests with one key."""

    base_url: str
    key: str

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return requests.request(
            method, self.base_url + path, json=body, headers=headers, timeout=60
        )

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        answer = self.send(method, path, body)
        found: dict[str, Any] = answer.json()
        return answer.status_code, found

    def get(self, path: str) -> dict[str, Any]:
        status, found = self.ask("GET", path)
        assert status == 200, found
        return found

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        status, found = self.ask("POST", path, body)
        assert status == 200, found
        return found

    def say(self, text: str, **more: Any) -> dict[str, Any]:
        """Take a turn whose answer is `text` too."""
        return self.post("/responses", model=MODEL, input=f"[[text:{text}]] {text}", **more)


def client_of(running: RunningAxon, org: str, user: str, *permissions: str) -> Client:
    """Make a user of an organization that is there; return requests with a key of theirs."""
    words = [word for name in permissions for word in ("--permission", name)]
    axon_command(running, "users", "create", user, "--org", org, *words)
    made = axon_command(running, "keys", "create", "--org", org, "--user", user, "--name", "a")
    return Client(running.base_url, str(made["secret"]))


def soon(look: Callable[[], T | None]) -> T:
    """Return what is looked for once it is there."""
    end = time.monotonic() + THERE_WITHIN_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")
