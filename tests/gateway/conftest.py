"""One running Axon, as `axon up` starts it, in front of the fake upstream."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAxon:
    """Where it answers, and the fake upstream behind it."""

    base_url: str
    api_key: str
    pids: dict[str, list[int]]
    upstream: str
    data: Path

    @property
    def origin(self) -> str:
        """Return the address without the API's prefix."""
        return self.base_url.removesuffix("/v1")

    def sync_client(self) -> OpenAI:
        """Return the official SDK, without its retries: a test wants to see every answer."""
        return OpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0)

    def async_client(self) -> AsyncOpenAI:
        """Return the official asynchronous SDK."""
        return AsyncOpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0)


def _first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it ended before it was ready"
    return line


def start_upstream(*options: str) -> "tuple[subprocess.Popen[str], str]":
    """Start the fake upstream in a process of its own; return it and its address."""
    command = [sys.executable, "-m", "tests.fake_upstream", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, _first_line(process).split()[-1]


def start_axon(
    data: Path, upstream: str, *options: str, environment: Mapping[str, str] | None = None
) -> "tuple[subprocess.Popen[str], RunningAxon]":
    """Start `axon up` on a data folder and wait until it is ready."""
    command = [sys.executable, "-m", "axon.app.cli", "up", "--json", "--data", str(data)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--upstream", upstream, *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "AXON_LOG_LEVEL": "info", **(environment or {})},
    )
    ready = json.loads(_first_line(process))
    running = RunningAxon(
        base_url=ready["base_url"],
        api_key=ready["api_key"],
        pids=ready["pids"],
        upstream=upstream,
        data=data,
    )
    return process, running


def stop(process: "subprocess.Popen[str]") -> int:
    """End a process as Ctrl-C would; return its exit code."""
    with process:  # closes its pipe
        process.send_signal(signal.SIGINT)
        return process.wait(STOP_TIMEOUT_S)


@pytest.fixture(scope="session")
def upstream_address() -> Iterator[str]:
    """The fake upstream, in its own process."""
    process, address = start_upstream()
    with process:
        yield address
        process.kill()


@pytest.fixture(scope="session")
def axon(tmp_path_factory: pytest.TempPathFactory, upstream_address: str) -> Iterator[RunningAxon]:
    """A running Axon for the whole session; tests make conversations of their own."""
    process, running = start_axon(
        tmp_path_factory.mktemp("axon"),
        upstream_address,
        environment={
            "AXON_FLAGS_ORIGINS": "https://app.example.com, https://other.example.com/",
            "AXON_HTTP_ORIGINS": "https://chat.example.com",
        },
    )
    yield running
    stop(process)


@pytest.fixture
def client(axon: RunningAxon) -> Iterator[OpenAI]:
    """The official SDK."""
    with axon.sync_client() as opened:
        yield opened
