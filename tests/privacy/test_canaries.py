"""Canaries: values of every kind, planted wherever a client or an engine can say something.

None may be in log lines, metrics, /status, error bodies, traces, what is told of parked records, or
anything that names turns without being their content.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from tests.privacy.conftest import MODEL, Guarded
from tests.privacy.corpus import read_corpus

KINDS_MIN = 40
TOGETHER = 4
"""Canaries in one round of requests: few enough for each to fit the shorter places."""

TOOL: Any = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}


def _canaries() -> dict[str, str]:
    """Return one line with a value for each kind, by kind."""
    return {line.kind: line.text for line in read_corpus() if line.kind}


def _values() -> list[str]:
    texts = set(_canaries().values())
    return [value for line in read_corpus() if line.text in texts for value in line.values]


class _Planting:
    """Plants a text everywhere, and keeps the bodies of errors."""

    def __init__(self, guarded: Guarded) -> None:
        self._guarded = guarded
        self._key = guarded.axon.api_key
        self._address = urlsplit(guarded.axon.base_url)
        self.errors: list[str] = []

    def ask(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        host, port = self._address.hostname, self._address.port
        assert host is not None
        connection = http.client.HTTPConnection(host, port, timeout=120)
        sent = {"authorization": f"Bearer {self._key}", **(headers or {})}
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        connection.request(method, quote(f"/v1{path}", safe="/?=&"), payload, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 400 or '"error":{' in text:
            self.errors.append(text)
        return answer.status, text

    def plant(self, text: str) -> None:
        """Make requests that say `text` in every place that takes a text."""
        message = {"role": "user", "content": text}
        header = text.encode("ascii", "replace").decode().replace("\n", " ")
        everywhere = {
            "model": MODEL,
            "messages": [{"role": "system", "content": text}, message],
            "metadata": {"note": text[:500]},
            "safety_identifier": text[:60],
            "stop": [text[:20]],
        }
        headers = {
            "user-agent": header[:200],
            "x-note": header[:200],
            "idempotency-key": header[:99],
        }
        self.ask("/chat/completions", everywhere, headers)
        echo = {"model": MODEL, "input": f"[[echo]]{text}", "instructions": text}
        assert self.ask("/responses", echo)[0] == 200
        called = f"[[tool:send {json.dumps({'to': text})}]]"
        asked = [{"role": "user", "content": called}]
        self.ask("/chat/completions", {"model": MODEL, "messages": asked, "tools": [TOOL]})
        for status in (400, 500):
            failing = f"fake[[fault:{status}]]"
            said = f"[[error:{text.replace(']', '')}]]"
            fault = [{"role": "user", "content": said}]
            self.ask("/chat/completions", {"model": failing, "messages": fault})
            streamed = {"model": failing, "input": said, "stream": True}
            self.ask("/responses", streamed)
        self.ask("/chat/completions", {"model": text[:250] + "\x00", "messages": [message]})
        self.ask("/responses", {"model": MODEL, "input": text, text[:64]: 1, "metadata": {text: 1}})
        self.ask("/responses", {"model": MODEL, "input": text, "previous_response_id": text})
        self.ask("/responses", b'{"model": "m", "input": ' + text.encode())
        self.ask(f"/conversations/{text[:200]}/items?after={text[:200]}")
        self.ask(f"/flags/{text[:100]}")
        self.ask("/models", None, {"authorization": f"Bearer {header[:300]}"})

    def operations(self) -> dict[str, str]:
        """Return what an operator reads over HTTP."""
        found = {}
        host, port = self._address.hostname, self._address.port
        assert host is not None
        for path in ("/metrics", "/status"):
            connection = http.client.HTTPConnection(host, port, timeout=120)
            connection.request("GET", path)
            found[path] = connection.getresponse().read().decode()
            connection.close()
        return found


def _places(guarded: Guarded, planting: _Planting) -> Iterator[tuple[str, str]]:
    """Yield every place in which no canary may be, with what is there."""
    yield from planting.operations().items()
    yield "error bodies", "\n".join(planting.errors)
    listing = subprocess.run(
        [sys.executable, "-m", "axon.app.cli", "parked", "list", "--json",
         "--data", str(guarded.axon.data)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    yield "parked records", listing.stdout + listing.stderr
    yield "traces", guarded.traces.told({record.head.turn_id for record in guarded.ended()})
    for log in sorted((guarded.axon.data / "logs").iterdir()):
        yield log.name, log.read_text(errors="replace")


def test_no_canary_is_anywhere_but_in_content(guarded: Guarded) -> None:
    canaries = _canaries()
    assert len(canaries) >= KINDS_MIN
    planting = _Planting(guarded)
    texts = list(canaries.values())
    for first in range(0, len(texts), TOGETHER):
        planting.plant("\n".join(texts[first : first + TOGETHER]))
    assert len(planting.errors) > len(texts) / TOGETHER * 5
    values, seen = _values(), {}
    for place, text in _places(guarded, planting):
        seen[place] = len(text)
        decoded = text.replace("\\n", "\n").replace('\\"', '"').replace("\\/", "/")
        for value in values:
            assert value not in text and value not in decoded, f"{value!r} is in {place}"
    assert all(size for place, size in seen.items() if place != "parked records"), seen
    assert seen["serving.log"] > 100 * len(planting.errors), "requests have lines"
    print(f"{len(values)} canaries of {len(canaries)} kinds, looked for in {seen}")
