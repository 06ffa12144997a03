"""Calls of the flags' routes, as bytes on the wire: every header and every error is to be seen."""

import http.client
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.gateway.commands import axon_command
from tests.gateway.conftest import RunningAxon

TIMEOUT_S = 60


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


class FlagCalls:
    """One caller of a running Axon."""

    def __init__(self, axon: RunningAxon, key: str | None = None) -> None:
        self.axon = axon
        self.key = axon.api_key if key is None else key

    def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Return the answer; `body` is JSON, or bytes as they are."""
        with self._asked(method, path, body, headers) as answer:
            content = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, json.loads(content) if content else None)

    @contextmanager
    def stream(self, path: str, headers: dict[str, str] | None = None) -> Iterator["EventStream"]:
        with self._asked("GET", path, None, headers) as answer:
            yield EventStream(answer)

    @contextmanager
    def _asked(
        self, method: str, path: str, body: Any, headers: dict[str, str] | None
    ) -> Iterator[http.client.HTTPResponse]:
        where = urlsplit(self.axon.origin)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, TIMEOUT_S)
        sent = {"authorization": f"Bearer {self.key}"} if self.key else {}
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            yield connection.getresponse()
        finally:
            connection.close()

    def evaluate(self, key: str, **context: Any) -> Answer:
        return self("POST", f"/ofrep/v1/evaluate/flags/{key}", {"context": context})

    def evaluate_all(self, tag: str = "", query: str = "", **context: Any) -> Answer:
        headers = {"if-none-match": tag} if tag else {}
        return self("POST", f"/ofrep/v1/evaluate/flags{query}", {"context": context}, headers)

    def put(self, key: str, definition: Any, **more: Any) -> Answer:
        return self("PUT", f"/v1/flags/{key}", {"definition": definition, **more})


class EventStream:
    """Server-sent events."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self._answer = answer

    def event(self) -> dict[str, Any]:
        """Return the next event's data; keep-alives are passed over."""
        while line := self._answer.readline():
            if line.startswith(b"data:"):
                found: dict[str, Any] = json.loads(line[5:])
                return found
        raise EOFError


def flag(variant: str = "on", **more: Any) -> dict[str, Any]:
    """Return a definition: who asks gets `variant`."""
    variants = {"on": "yes", "off": "no"}
    return {"state": "ENABLED", "variants": variants, "defaultVariant": variant, **more}


def fresh(name: str) -> str:
    """Return a key that no other test uses."""
    return f"{name}-{secrets.token_hex(4)}"


def person(axon: RunningAxon, permission: str = "") -> FlagCalls:
    """Return a caller of an organization of its own, who does not act for others."""
    org = f"org{secrets.token_hex(4)}"
    axon_command(axon, "orgs", "create", org)
    options = ("--permission", permission) if permission else ()
    axon_command(axon, "users", "create", "ada", "--org", org, *options)
    made = axon_command(axon, "keys", "create", "--org", org, "--user", "ada", "--name", "a")
    return FlagCalls(axon, str(made["secret"]))
