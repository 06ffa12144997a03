"""A small client of Axon's API for commands; it blocks, as a terminal may."""

import http.client
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from axon.base import AxonError

TIMEOUT_S = 120.0
"""To forget a person of many years takes a while."""


class ApiRefused(AxonError):
    """Axon did not do it."""


class ApiClient:
    """Speaks to one Axon with one API key; a new connection for every call."""

    def __init__(self, base_url: str, api_key: str) -> None:
        """`base_url` ends in /v1."""
        self._url = urlsplit(base_url.rstrip("/"))
        self._api_key = api_key

    def get(self, path: str, query: Mapping[str, object]) -> Any:
        """Return the answer to a question; what is empty in `query` is left out."""
        asked = urlencode({name: value for name, value in query.items() if value not in ("", None)})
        return msgspec.json.decode(self.call("GET", f"{path}?{asked}" if asked else path))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Return the answer to a request."""
        return msgspec.json.decode(self.call("POST", path, msgspec.json.encode(body)))

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Return what is answered; raises ApiRefused with what Axon says."""
        secure = self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        headers = {"authorization": f"Bearer {self._api_key}", "content-type": "application/json"}
        with closing(kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_S)) as one:
            try:
                one.request(method, self._url.path + path, body or None, headers)
                answer = one.getresponse()
                status, said = answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                place = f"{self._url.scheme}://{self._url.netloc}"
                raise ApiRefused(f"{place}: {error}; is `axon up` running?") from error
        if status >= 400:
            raise ApiRefused(f"{status}: {_message(said)}")
        return said


def _message(said: bytes) -> str:
    try:
        return str(msgspec.json.decode(said)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return said.decode(errors="replace")[:500]
