"""A running Axon whose stores are hurt, and what it says of itself meanwhile."""

import asyncio
import json
import os
import re
import signal
import urllib.request
from pathlib import Path
from typing import Any

from tests.gateway.conftest import RunningAxon

LOOKS_MAX = 1200
"""Looks at /status, 50 ms apart, until it says what is waited for."""


def processes_of(axon: RunningAxon, role: str) -> list[int]:
    """Return the role's process and its children, as they are now."""
    pids = json.loads((axon.data / "up.json").read_text())["pids"][role]
    children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
    return [*pids, *map(int, children)]


def signal_all(axon: RunningAxon, role: str, number: signal.Signals) -> None:
    """Send a signal to every process of the role; one that has just ended needs none."""
    for pid in processes_of(axon, role):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def status(origin: str) -> dict[str, Any]:
    """Return what `GET /status` answers; blocks."""
    with urllib.request.urlopen(f"{origin}/status", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def metrics(origin: str) -> list[str]:
    """Return the lines of `GET /metrics`; blocks."""
    with urllib.request.urlopen(f"{origin}/metrics", timeout=30) as answer:
        return [line.decode().rstrip() for line in answer]


async def healed(origin: str) -> None:
    """Wait until nothing is degraded and PostgreSQL has every record."""
    for _ in range(LOOKS_MAX):
        found = await asyncio.to_thread(status, origin)
        if not found["degraded"] and found["journal"]["lag_records"] == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def degraded(origin: str, dependency: str, why: str = "") -> dict[str, Any]:
    """Wait until a dependency is a degraded mode, for this reason; return what is said of it."""
    for _ in range(LOOKS_MAX):
        found = await asyncio.to_thread(status, origin)
        said: dict[str, Any] = found["dependencies"].get(dependency, {"up": True})
        if not said["up"] and re.search(why, said["reason"]):
            assert dependency in found["degraded"]
            return said
        await asyncio.sleep(0.05)
    raise AssertionError(found)


def lines_about(axon: RunningAxon, dependency: str) -> list[dict[str, Any]]:
    """Return the log lines of the serving processes that name the dependency, requests aside."""
    found = []
    for path in sorted((axon.data / "logs").glob("serving*.log")):
        for text in path.read_text(errors="replace").splitlines():
            line = json.loads(text) if text.startswith("{") else {"message": text}
            if line.get("event.action") == "http.request":
                continue
            if dependency in json.dumps(line).lower():
                found.append(line)
    return found
