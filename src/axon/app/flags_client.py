"""A small client of `/v1/flags` and OFREP; it blocks, as a terminal may."""

import http.client
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from axon.base import AxonError
from axon.gateway import FlagHistory, FlagPage, FlagShown

TIMEOUT_S = 30.0
"""Longer than a change may take."""


class FlagsRefused(AxonError):
    """Axon did not do it."""


class FlagsClient:
    """Speaks to one Axon with one API key; a new connection for every call.

    Every method raises FlagsRefused, with what Axon says.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        """`base_url` ends in /v1."""
        self._url = urlsplit(base_url.rstrip("/"))
        self._api_key = api_key

    def all(self, archived: bool) -> FlagPage:
        """Return every flag."""
        path = f"/flags?archived={str(archived).lower()}"
        return msgspec.json.decode(self.call("GET", path), type=FlagPage)

    def flag(self, key: str) -> FlagShown:
        """Return one flag."""
        return msgspec.json.decode(self.call("GET", _path(key)), type=FlagShown)

    def history(self, key: str, limit: int) -> FlagHistory:
        """Return its changes, the newest first."""
        found = self.call("GET", f"{_path(key)}/history?limit={limit}")
        return msgspec.json.decode(found, type=FlagHistory)

    def set(self, key: str, change: Mapping[str, object]) -> Any:
        """Make or change a flag; return what changed."""
        return msgspec.json.decode(self.call("PUT", _path(key), msgspec.json.encode(change)))

    def bring(self, document: Mapping[str, object]) -> Any:
        """Make or change all flags of a document; return what changed."""
        return msgspec.json.decode(self.call("POST", "/flags", msgspec.json.encode(document)))

    def archive(self, key: str, why: str) -> Any:
        """Take a flag away; return what changed."""
        return msgspec.json.decode(self.call("DELETE", f"{_path(key)}?{urlencode({'why': why})}"))

    def roll_back(self, key: str, change: Mapping[str, object]) -> Any:
        """Make a flag again what it was; return what changed."""
        body = msgspec.json.encode(change)
        return msgspec.json.decode(self.call("POST", f"{_path(key)}/rollback", body))

    def call_off(self, schedule_id: str, why: str) -> Any:
        """Call off a change that waits for its time; return what changed."""
        path = f"/flag_schedules/{quote(schedule_id, safe='')}?{urlencode({'why': why})}"
        return msgspec.json.decode(self.call("DELETE", path))

    def evaluate(self, key: str, context: Mapping[str, object]) -> Any:
        """Return what a flag says in a context, as OFREP has it."""
        body = msgspec.json.encode({"context": context})
        path = f"/ofrep/v1/evaluate/flags/{quote(key, safe='')}"
        status, answer = self._ask("POST", self._url.path.removesuffix("/v1") + path, body)
        if status not in (200, 400, 404):
            raise FlagsRefused(f"{status}: {answer.decode(errors='replace')[:500]}")
        return msgspec.json.decode(answer)

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return the answer to a request below `/v1`."""
        status, answer = self._ask(method, self._url.path + path, body)
        if status >= 400:
            try:
                message = msgspec.json.decode(answer)["error"]["message"]
            except (msgspec.DecodeError, KeyError, TypeError):
                message = answer.decode(errors="replace")[:500]
            raise FlagsRefused(f"{status}: {message}")
        return answer

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        headers = {"authorization": f"Bearer {self._api_key}", "content-type": "application/json"}
        with closing(
            kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)
        ) as connection:
            try:
                connection.request(method, path, body or None, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                place = f"{self._url.scheme}://{self._url.netloc}"
                raise FlagsRefused(f"{place}: {error}; is `axon up` running?") from error


def _path(key: str) -> str:
    return f"/flags/{quote(key, safe='$')}"
