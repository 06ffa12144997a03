"""Traces as a real receiver gets them, and the one id that leads from an error to its record."""

import json
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway.conftest import RunningAxon
from tests.observability.conftest import Observed

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET_WORDS = "xylophone-of-the-canary"
WAIT_S = 30


def log_line(axon: RunningAxon, name: str, value: str) -> dict[str, Any]:
    """Return the line of a request, once it is written."""
    give_up = time.monotonic() + WAIT_S
    while True:
        for path in sorted((axon.data / "logs").glob("serving*.log")):
            for text in path.read_text().splitlines():
                line: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
                if line.get("event.action") == "http.request" and line.get(name) == value:
                    return line
        assert time.monotonic() < give_up, f"no log line with {name} {value}"
        time.sleep(0.05)


def engine_headers(axon: RunningAxon, words: str) -> dict[str, str]:
    """Return the headers of the engine's request that says these words."""
    with urllib.request.urlopen(f"{axon.upstream.removesuffix('/v1')}/ledger") as answer:
        ledger = json.load(answer)
    (seen,) = [one for one in ledger if words in json.dumps(one["body"])]
    headers: dict[str, str] = seen["headers"]
    return headers


def test_a_clients_trace_goes_through_axon_to_the_engine(observed: Observed) -> None:
    axon = observed.axon
    with axon.sync_client() as client:
        answer = client.responses.create(
            model="m",
            input=f"[[text:{SECRET_WORDS}]]",
            extra_headers={"traceparent": f"00-{TRACE}-{SPAN}-01"},
        )
    spans = observed.receiver.trace(TRACE)
    steps = {"turn responses", "history", "accept", "queue", "chat m", "commit"}
    assert steps == spans.keys() - {"flags"}, "flags are asked once there are some"
    whole, engine = spans["turn responses"], spans["chat m"]
    assert whole.fields["Parent ID"] == SPAN
    assert whole.fields["Kind"] == "SPAN_KIND_SERVER"
    assert engine.fields["Kind"] == "SPAN_KIND_CLIENT"
    assert {one.fields["Parent ID"] for one in spans.values() if one is not whole} == {
        whole.fields["ID"]
    }
    told = engine_headers(axon, SECRET_WORDS)["traceparent"]
    assert told == f"00-{TRACE}-{engine.fields['ID']}-01", "the engine's spans are within ours"
    assert whole.attributes["axon.audit.record_id"] == ("Str", answer.id)
    kind, tokens = engine.attributes["gen_ai.usage.output_tokens"]
    assert kind == "Int" and int(tokens) > 0
    everything = json.dumps([(one.fields, one.attributes) for one in observed.receiver.spans()])
    assert SECRET_WORDS not in everything
    line = log_line(axon, "trace.id", TRACE)
    assert line["axon.turn.id"] == answer.id


def test_one_id_leads_from_an_error_to_its_log_line_its_trace_and_its_record(
    observed: Observed,
) -> None:
    axon = observed.axon
    with axon.sync_client() as client, pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(model="m", input="[[fault:500]]")
    request_id = caught.value.response.headers["x-request-id"]
    line = log_line(axon, "http.request.id", request_id)
    assert request_id.endswith(line["trace.id"]), "the request's own id is its trace's"
    assert line["event.outcome"] == "failure"
    spans = observed.receiver.trace(line["trace.id"])
    whole = spans["turn responses"]
    assert "Parent ID" not in whole.fields or not whole.fields["Parent ID"]
    assert whole.attributes["axon.audit.record_id"] == ("Str", line["axon.turn.id"])
    assert whole.attributes["error.type"] == ("Str", "server_error")


def test_a_signal_to_axon_turns_debug_lines_on_and_off_in_every_process(
    observed: Observed,
) -> None:
    axon = observed.axon
    up = int(parent_of(axon.pids["serving"][0]))
    for level in ("debug", "info"):
        os.kill(up, signal.SIGUSR1)
        give_up = time.monotonic() + WAIT_S
        for role in ("serving", "projector", "scheduler"):
            while last_level(axon, role) != level:
                assert time.monotonic() < give_up, f"{role} does not log {level}"
                time.sleep(0.02)


def parent_of(pid: int) -> str:
    (line,) = [
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("PPid:")
    ]
    return line.split()[1]


def last_level(axon: RunningAxon, role: str) -> str:
    """Return the level that a role's newest line about levels names."""
    text = (axon.data / "logs" / f"{role}.log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if '"axon.log.level"' in line]
    return str(lines[-1]["axon.log.level"]) if lines else ""
