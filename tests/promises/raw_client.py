"""A client that says exactly what it is told to, and what the process it talks to is made of."""

import asyncio
import json
import re
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.gateway.conftest import RunningAxon

MODEL = "fake-model"
WAIT_S = 60.0
"""Longer than anything here takes; a test that waits for nothing ends."""
_READ_BYTES = 1 << 16
_TRIES = 3
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass(slots=True, kw_only=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        """The error's code."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        return str(error["code"])


class RawClient:
    """One connection; `async with RawClient(axon) as client:` opens and closes it."""

    def __init__(self, axon: RunningAxon) -> None:
        self._axon = axon
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        address = urlsplit(self._axon.base_url)
        self.reader, self.writer = await asyncio.open_connection(address.hostname, address.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    def head(self, method: str, path: str, **headers: object) -> bytes:
        """Return a request's head, with the key."""
        lines = [f"{method} {path} HTTP/1.1", "host: axon"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines.append(f"authorization: Bearer {self._axon.api_key}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Return a whole request."""
        data = json.dumps(body).encode()
        return self.head("POST", path, content_length=len(data)) + data

    async def send(self, data: bytes) -> None:
        """Send; a server that has closed is no error."""
        try:
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), WAIT_S)
        except ConnectionError:
            pass

    async def answer(self) -> Answer:
        """Return the next answer, whose length is announced."""
        async with asyncio.timeout(WAIT_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head.decode().splitlines()
            pairs = (line.split(": ", 1) for line in lines[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(status=int(lines[0].split()[1]), headers=headers, body=body)

    async def ask(self, request: bytes) -> Answer:
        """Return the answer to a whole request."""
        await self.send(request)
        return await self.answer()

    async def statuses(self) -> list[int]:
        """Return the statuses of everything that comes until the server closes."""
        return [int(status) for status in _STATUS.findall(await self.rest())]

    async def rest(self) -> bytes:
        """Return what comes until the server closes, politely or not."""
        got = bytearray()
        async with asyncio.timeout(WAIT_S):
            try:
                while data := await self.reader.read(_READ_BYTES):
                    got += data
            except ConnectionError:
                pass
        return bytes(got)


def serving_pid(axon: RunningAxon) -> int:
    """Return the serving process as it is now, 0 while there is none."""
    pids: dict[str, list[int]] = json.loads((axon.data / "up.json").read_text())["pids"]
    return pids.get("serving", [0])[0]


def resident_mib(axon: RunningAxon) -> float:
    """Return how much memory the serving process has, in MiB."""
    status = Path(f"/proc/{serving_pid(axon)}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 1024


async def metric(axon: RunningAxon, name: str) -> float:
    """Return a metric's value by its name and labels as the page shows them; 0 when absent."""

    def page() -> str:
        with urllib.request.urlopen(f"{axon.origin}/metrics", timeout=WAIT_S) as answer:
            return str(answer.read().decode())

    for line in (await asyncio.to_thread(page)).splitlines():
        if line.startswith(f"{name} "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


async def until_metric(axon: RunningAxon, name: str, least: float) -> None:
    """Wait until a metric has come to at least this."""
    async with asyncio.timeout(WAIT_S):
        while await metric(axon, name) < least:
            await asyncio.sleep(0.05)


class Others:
    """Well-behaved clients, one turn after another: what they get done while others misbehave."""

    def __init__(self, axon: RunningAxon, clients: int = 4) -> None:
        self._axon = axon
        self._clients = clients

    async def turns_a_second(self, within_s: float = 1.0) -> float:
        """Return how many turns a second they complete; every one must be answered well."""
        started_s = time.monotonic()
        done = await asyncio.gather(*(self._chat(within_s) for _ in range(self._clients)))
        return sum(done) / (time.monotonic() - started_s)

    async def complete(self, rate_per_s: float) -> bool:
        """Say whether they get that much done in one of a few tries: the machine may stall once."""
        for _ in range(_TRIES):
            if await self.turns_a_second() > rate_per_s:
                return True
        return False

    async def _chat(self, within_s: float) -> int:
        until_s = time.monotonic() + within_s
        done = 0
        async with RawClient(self._axon) as client:
            request = client.post("/v1/responses", {"model": MODEL, "input": "[[text:well]]"})
            while time.monotonic() < until_s:
                assert (await client.ask(request)).status == 200
                done += 1
        return done
