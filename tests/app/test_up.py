"""`axon up` from outside: one JSON line, restarts, a clean end, nothing left behind, same key."""

import http.client
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from axon.app.embedded import tree_of

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN_S = 30
ROLES = {"supervisor", "postgres", "valkey", "projector", "serving", "scheduler"}


class Up(NamedTuple):
    """A running `axon up` and its one line."""

    process: "subprocess.Popen[str]"
    base_url: str
    api_key: str
    pids: dict[str, list[int]]

    def degraded(self) -> list[str]:
        """Return what Axon does without at present."""
        address = urlsplit(self.base_url)
        with closing(http.client.HTTPConnection(address.netloc, timeout=ENDS_WITHIN_S)) as http_:
            http_.request("GET", "/status")
            found: list[str] = json.loads(http_.getresponse().read())["degraded"]
            return found

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Make one request; it may wait in the backlog while serving restarts."""
        address = urlsplit(self.base_url)
        headers = {"authorization": f"Bearer {self.api_key}"}
        connection = http.client.HTTPConnection(address.netloc, timeout=ENDS_WITHIN_S)
        with closing(connection):
            content = None if body is None else json.dumps(body)
            connection.request(method, address.path + path, content, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


def spawn(*arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    process = spawn(str(ROOT / "tests" / "fake_upstream.py"))
    yield first_line(process).strip()
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "data"


def start(data: Path, upstream: str) -> Up:
    options = ("--data", str(data), "--port", "0", "--upstream", upstream, "--json")
    process = spawn("-m", "axon.app.cli", "up", *options)
    ready = json.loads(first_line(process))
    return Up(process, ready["base_url"], ready["api_key"], ready["pids"])


def end(up: Up, number: signal.Signals) -> tuple[int, str]:
    """Signal the command; return its exit code and what else it wrote on stdout."""
    up.process.send_signal(number)
    rest, _ = up.process.communicate(timeout=ENDS_WITHIN_S)
    return up.process.returncode, rest


@pytest.fixture(scope="module")
def up(data: Path, upstream: str) -> Iterator[Up]:
    started = start(data, upstream)
    yield started
    with suppress(ProcessLookupError):
        started.process.kill()
    started.process.communicate()


def wait_until_gone(pids: list[int]) -> None:
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([watch], [], [], ENDS_WITHIN_S)[0], f"process {pid} lives on"
        finally:
            os.close(watch)


def chat(data: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "axon.app.cli", "chat", "--data", str(data), "--model", "m"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=ENDS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_line_names_every_process_and_the_key_works(up: Up, data: Path) -> None:
    assert set(up.pids) == ROLES
    assert up.pids["supervisor"] == [up.process.pid]
    assert up.ask("GET", "/models")[0] == 200
    kept = data / "development-key"
    assert kept.read_text().strip() == up.api_key
    assert kept.stat().st_mode & 0o777 == 0o600


def test_chat_streams_an_answer_and_continues_the_conversation(up: Up, data: Path) -> None:
    assert "tok0 tok1" in chat(data, "remember the number 4711")
    answer = chat(data, "--continue", "[[echo]]", "what was it?")
    assert "you > remember the number 4711" in answer
    seen = json.loads(answer[answer.index("[{") :])
    assert [message["content"] for message in seen][:2] == [
        "remember the number 4711",
        "tok0 tok1 tok2",
    ]


def test_a_second_axon_up_with_the_same_folder_is_refused(up: Up, data: Path) -> None:
    other = spawn("-m", "axon.app.cli", "up", "--data", str(data), "--port", "0", "--json")
    output, _ = other.communicate(timeout=ENDS_WITHIN_S)
    assert (other.returncode, output) == (1, "")


# PostgreSQL last: its loss is noticed only when it is used, and a turn needs one of the two stores.
@pytest.mark.parametrize("role", ["serving", "projector", "scheduler", "valkey", "postgres"])
def test_a_killed_process_comes_back_and_requests_wait_for_it(
    up: Up, data: Path, role: str
) -> None:
    status, conversation = up.ask("POST", "/conversations", {})
    assert status == 200
    (before,) = pids_now(data)[role]
    os.kill(before, signal.SIGKILL)
    body = {"model": "m", "input": "hello", "conversation": conversation["id"]}
    status, answer = up.ask("POST", "/responses", body)
    assert (status, answer.get("status")) == (200, "completed"), answer
    while pids_now(data).get(role, [before]) == [before] or up.degraded():
        pass  # each look asks the server, which paces this


def pids_now(data: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = json.loads((data / "up.json").read_text())["pids"]
    return found


def test_after_ctrl_c_nothing_runs_and_a_new_start_knows_key_and_conversations(
    up: Up, data: Path, upstream: str
) -> None:
    status, conversation = up.ask("POST", "/conversations", {"metadata": {"kept": "yes"}})
    assert status == 200
    family = tree_of(up.process.pid)
    assert end(up, signal.SIGINT) == (0, "")
    wait_until_gone(family)
    assert not (data / "up.json").exists()
    (segment,) = data.glob("journal/*-serving/*.segment")
    with segment.open("ab") as journal:
        journal.write(b"torn by a power loss")

    again = start(data, upstream)
    try:
        assert again.api_key == up.api_key
        status, found = again.ask("GET", f"/conversations/{conversation['id']}")
        assert (status, found["metadata"]) == (200, {"kept": "yes"})
        assert '"axon.journal.torn_bytes":20' in (data / "logs" / "serving.log").read_text()
    finally:
        family = tree_of(again.process.pid)
        end(again, signal.SIGKILL)
    wait_until_gone(family)
