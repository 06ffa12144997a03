"""Request bodies, and runs of the load generator with what they cost the server."""

import http.client
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.compiled import tool
from bench.cores import Cores, cpu_seconds, on_core
from bench.gateways import Gateway

MODEL = "bench-model"
CONNECTIONS = 64
CONVERSATIONS_PER_CONNECTION = 8
"""So that a run adds some tens of turns to each: conversations as people have them."""

_SYSTEM = (
    "You are a helpful assistant. Answer in plain language, keep it short, and say when you are "
    "not sure about something."
)
_QUESTION = (
    "Explain to me in a few sentences what a write-ahead log is, why databases use one, and what "
    "group commit changes about the cost of durability on a disk whose flush takes a millisecond."
)
_RUN_GRACE_S = 30.0
_SETTLE_WITHIN_S = 60.0
_SETTLE_WINDOW_S = 0.5
_IDLE_SHARE = 0.1
"""A projector with nothing to do looks at its journal often; that is a few percent of a core."""


class LoadFailed(Exception):
    """A run of the load generator met errors; a figure with errors in it is no figure."""


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the load generator prints (see bench/native/load.c); times in microseconds."""

    requests: int
    rate_per_s: float
    errors: int
    other_status: int
    last_other_status: int
    unsent: int
    p50_us: int
    p95_us: int
    p99_us: int
    p999_us: int
    first_byte_p50_us: int
    first_byte_p99_us: int
    body_bytes: float
    events: float
    reads: float
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of request and the text that proves a good answer to it."""

    name: str
    path: str
    expect: str
    stream: bool = False
    durable: bool = False


CHAT = Case(name="chat", path="/v1/chat/completions", expect='"finish_reason":"stop"')
CHAT_STREAM = Case(
    name="chat, 64-token stream", path="/v1/chat/completions", expect="data: [DONE]", stream=True
)
TURN = Case(name="durable turn", path="/v1/responses", expect='"error":null', durable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long and how hard: closed loop without a rate, else requests due at a fixed rate."""

    seconds: float
    warmup_s: float
    connections: int = CONNECTIONS
    rate_per_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run: what the client saw and the CPU the server spent on each request."""

    report: LoadReport
    cpu_us: float


def measure(gateway: Gateway, case: Case, pace: Pace, place: tuple[Path, Cores]) -> Measured:
    """Run the load once and return what it measured; raises LoadFailed when requests failed."""
    folder, cores = place
    bodies = folder / "bodies.txt"
    bodies.write_text("\n".join(_bodies(gateway, case, pace.connections)) + "\n")
    command = [
        str(tool("load")), "--port", str(gateway.port), "--path", case.path,
        "--bodies", str(bodies), "--connections", str(pace.connections),
        "--rate", str(pace.rate_per_s), "--seconds", str(pace.seconds),
        "--warmup", str(pace.warmup_s), "--expect", case.expect,
    ]  # fmt: skip
    for name, value in gateway.headers.items():
        command += ["--header", f"{name}: {value}"]
    before = cpu_seconds(gateway.measured_pids)
    done = subprocess.run(
        on_core(cores.load, command),
        capture_output=True,
        text=True,
        timeout=pace.seconds + pace.warmup_s + _RUN_GRACE_S,
        check=False,
    )
    spent = cpu_seconds(gateway.measured_pids) - before
    if done.returncode != 0:
        raise LoadFailed(f"{gateway.name}, {case.name}: {done.stderr.strip()}")
    report = msgspec.json.decode(done.stdout, type=LoadReport)
    if report.errors or not report.requests:
        raise LoadFailed(f"{gateway.name}, {case.name}: {done.stdout.strip()}")
    settle(gateway)
    return Measured(report=report, cpu_us=spent / report.answered * 1e6)


def settle(gateway: Gateway) -> None:
    """Wait until the server's background work is done, so that it does not disturb the next run."""
    deadline = time.monotonic() + _SETTLE_WITHIN_S
    before = cpu_seconds(gateway.background_pids)
    while gateway.background_pids and time.monotonic() < deadline:
        time.sleep(_SETTLE_WINDOW_S)
        now = cpu_seconds(gateway.background_pids)
        if now - before < _IDLE_SHARE * _SETTLE_WINDOW_S:
            return
        before = now


def _bodies(gateway: Gateway, case: Case, connections: int) -> list[str]:
    """Return the lines the load sends: for durable turns one new conversation a line."""
    if case.durable:
        count = connections * CONVERSATIONS_PER_CONNECTION
        return [
            json.dumps({"model": MODEL, "input": _QUESTION, "conversation": conversation})
            for conversation in new_conversations(gateway, count)
        ]
    messages = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": _QUESTION},
    ]
    body: dict[str, Any] = {"model": MODEL, "messages": messages, "temperature": 0.7}
    if case.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return [json.dumps(body)]


def new_conversations(gateway: Gateway, count: int) -> list[str]:
    """Create conversations through the API and return their ids; raises LoadFailed."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    headers = gateway.headers | {"content-type": "application/json"}
    ids = []
    try:
        for _ in range(count):
            connection.request("POST", "/v1/conversations", body="{}", headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise LoadFailed(f"POST /v1/conversations: {answer.status} {content[:300]!r}")
            ids.append(str(json.loads(content)["id"]))
    finally:
        connection.close()
    return ids
