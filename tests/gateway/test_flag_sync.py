"""`axon flags sync`, and flagd's published client that decides in its own process."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import grpc
import pytest
import requests
from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

from axon.app.flag_sync.wire import RequestInvalid, answer_of, selector_of
from tests.gateway.conftest import RunningAxon
from tests.gateway.flag_calls import FlagCalls, fresh

PATIENCE_S = 60.0
FETCH = "/flagd.sync.v1.FlagSyncService/FetchAllFlags"


@contextmanager
def syncing(axon: RunningAxon, *options: str) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Run the command; lend its port."""
    command = [sys.executable, "-m", "axon.app.cli", "flags", "sync", "--listen", "127.0.0.1:0"]
    where = ["--base-url", axon.base_url, "--api-key", axon.api_key]
    with subprocess.Popen(
        [*command, *where, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "flagd.sync.v1 at 127.0.0.1:" in said, process.stderr and process.stderr.read()
        try:
            yield int(said.partition("127.0.0.1:")[2].partition(";")[0]), process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0


def open_channel(port: int) -> Any:
    return grpc.insecure_channel(f"127.0.0.1:{port}")


def until(said: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not said():
        assert time.monotonic() < ends
        time.sleep(0.02)


def definition(default: str, **more: Any) -> dict[str, Any]:
    variants = {"on": True, "off": False}
    return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}


def test_the_published_client_decides_as_axon_does_and_hears_of_changes(axon: RunningAxon) -> None:
    call, plain, split, ramped = FlagCalls(axon), fresh("plain"), fresh("split"), fresh("ramped")
    call.put(plain, definition("on"))
    halves = {"fractional": [["on", 50], ["off", 50]]}
    call.put(split, definition("off", targeting=halves))
    call.put(ramped, definition("on", metadata={"axon.ramp": "2026-12-01T09:00:00Z 10"}))
    with syncing(axon) as (port, process):
        provider = FlagdProvider(
            resolver_type=ResolverType.IN_PROCESS, host="127.0.0.1", port=port, deadline_ms=20_000
        )
        api.set_provider_and_wait(provider, domain="flag-sync")
        client = api.get_client(domain="flag-sync")
        found = client.get_boolean_details(plain, False)
        assert found.value is True, found
        values = set()
        for number in range(40):
            person = f"person {number}"
            here = client.get_boolean_value(split, False, EvaluationContext(person))
            assert here == call.evaluate(split, targetingKey=person).body["value"]
            values.add(here)
        assert values == {True, False}
        details = client.get_boolean_details(ramped, False)
        assert details.value is False and details.error_code == "FLAG_NOT_FOUND"
        call.put(plain, definition("on", metadata={"axon.killed": True}))
        until(lambda: client.get_boolean_details(plain, False).reason == "DISABLED")
        api.shutdown()
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None and f"{ramped} is left out" in process.stderr.read()


def test_the_last_flags_are_told_while_axon_is_away(axon: RunningAxon) -> None:
    assert FlagCalls(axon).put("kept", definition("on")).status == 200
    page = requests.get(
        f"{axon.base_url}/flags",
        headers={"authorization": f"Bearer {axon.api_key}"},
        timeout=PATIENCE_S,
    ).content

    class Told(BaseHTTPRequestHandler):
        """Answers as Axon did."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Told) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = dataclasses.replace(axon, base_url=f"http://127.0.0.1:{server.server_port}/v1")
        with syncing(there) as (port, process), open_channel(port) as channel:
            fetch = channel.unary_unary(FETCH)
            before = fetch(b"", timeout=PATIENCE_S)
            assert b'"kept"' in before
            server.shutdown()
            server.server_close()
            assert process.stderr is not None
            while "The last flags go on" not in process.stderr.readline():
                assert process.poll() is None
            assert fetch(b"", timeout=PATIENCE_S) == before
            watching = channel.unary_stream("/flagd.sync.v1.FlagSyncService/SyncFlags")
            assert next(watching(b"", timeout=PATIENCE_S)) == before


def test_what_is_no_request_is_refused(axon: RunningAxon) -> None:
    with syncing(axon) as (port, _), open_channel(port) as channel:
        fetch = channel.unary_unary(FETCH)
        for request in (b"\xff", b"\x12\x05some", b"\x12\x04some", b"x" * 5000):
            with pytest.raises(grpc.RpcError) as refused:
                fetch(request, timeout=PATIENCE_S)
            expected = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert refused.value.code() in expected
        assert b'"flags"' in fetch(b"\x0a\x02me", timeout=PATIENCE_S)


def test_a_key_that_may_not_see_flags_ends_the_command(axon: RunningAxon) -> None:
    command = [sys.executable, "-m", "axon.app.cli", "flags", "sync", "--base-url", axon.base_url]
    done = subprocess.run(
        [*command, "--api-key", "sk-axon-nobody"],
        capture_output=True, text=True, timeout=PATIENCE_S, env=os.environ, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "401" in done.stderr


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_an_answer_says_its_length_as_protocol_buffers_do(size: int) -> None:
    answer = answer_of(b"f" * size)
    value = shift = 0
    place = 1
    while True:
        byte = answer[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    assert answer[0] == 0x0A and value == size == len(answer) - place


def test_a_request_is_read_whatever_else_it_holds() -> None:
    assert selector_of(b"") == ""
    assert selector_of(b"\x0a\x02me\x12\x04some") == "some"
    assert selector_of(b"\x18\x96\x01\x21" + bytes(8) + b"\x2d" + bytes(4) + b"\x12\x01s") == "s"
    for wrong in (b"\x0a", b"\x0a\x05me", b"\x0b", b"\x12\x02\xff\xff", b"\x18" + b"\xff" * 11):
        with pytest.raises(RequestInvalid):
            selector_of(wrong)
