"""Every log line and every span has only names of ECS, of OpenTelemetry's conventions, or ours."""

import ast
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axon
from axon.telemetry import gen_ai
from tests.observability import names
from tests.observability.conftest import Observed

SOURCE = Path(axon.__file__).parent
LEVELS = {"debug", "info", "warning", "error"}
WAIT_S = 30
LINES_MIN = 60
"""There are more kinds of lines than this: a test that finds none would prove nothing."""


def calls_of_log() -> Iterator[tuple[str, ast.Call]]:
    """Return every call that writes a line, with its file."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            named = node.func.value
            if isinstance(named, ast.Name) and named.id == "log" and node.func.attr in LEVELS:
                yield path.name, node


def test_every_kind_of_line_in_the_code_has_known_fields() -> None:
    wrong, count = [], 0
    for file, call in calls_of_log():
        count += 1
        for keyword in call.keywords:
            name = (keyword.arg or "**").replace("__", ".")
            if name not in names.ECS and not name.startswith("axon."):
                wrong.append((file, call.lineno, name))
    assert count > LINES_MIN
    assert not wrong


def test_requests_lines_have_known_fields() -> None:
    """The gateway names the fields of these lines as they stand in them."""
    text = ast.parse((SOURCE / "gateway" / "gateway.py").read_text())
    texts = {
        node.slice.value
        for node in ast.walk(text)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        and "." in node.slice.value
    }
    assert "event.duration" in texts
    assert {name for name in texts if not name.startswith("axon.")} <= names.ECS.keys()


def test_every_written_line_has_known_fields_of_their_types(observed: Observed) -> None:
    """Of all processes of a running Axon, whose requests end well and badly."""
    with observed.axon.sync_client() as client:
        client.responses.create(model="m", input="[[text:on]]")
    give_up = time.monotonic() + WAIT_S
    lines: list[dict[str, Any]] = []
    while not {"http.request", "serving.ready"} <= {line["event.action"] for line in lines}:
        assert time.monotonic() < give_up
        time.sleep(0.05)
        lines = written_lines(observed.axon.data / "logs")
    for line in lines:
        assert not names.line_mistakes(line), line


def written_lines(folder: Path) -> list[dict[str, Any]]:
    """Return all whole lines of Axon's processes; each writes what it gathered now and then."""
    return [
        json.loads(text)
        for path in folder.glob("*.log")
        for text in path.read_text().splitlines(keepends=True)
        if text.startswith('{"@timestamp"') and text.endswith("\n")
    ]


def test_every_received_span_has_known_attributes_of_their_types(observed: Observed) -> None:
    with observed.axon.sync_client() as client:
        response = client.responses.with_raw_response.create(model="m", input="[[text:on]]")
    observed.receiver.trace(response.headers["x-request-id"].removeprefix("req_"))
    spans = observed.receiver.spans()
    assert {"turn responses", "chat m"} <= {span.name for span in spans}
    for span in spans:
        assert not names.attribute_mistakes(span.attributes), span


def test_the_names_in_the_code_are_those_of_the_conventions() -> None:
    named = {
        value
        for name, value in vars(gen_ai).items()
        if name.isupper() and isinstance(value, str) and not value.startswith("https:")
    }
    ours = {gen_ai.RECORD, gen_ai.OPENINFERENCE_KIND, gen_ai.FLAG_EVALUATION}
    assert named - ours == names.ATTRIBUTES.keys()
    assert not named & names.REMOVED
    assert gen_ai.SCHEMA_URL.endswith("/1.41.1")
    assert set(gen_ai.OPERATIONS.values()) <= names.OPERATIONS


def test_what_is_wrong_is_found() -> None:
    line: dict[str, object] = {
        "@timestamp": "2026-11-22T00:00:00Z", "log.level": "info", "message": "x",
        "event.action": "x", "event.duration": 1.5, "task": "x", "event.outcome": "ok",
    }  # fmt: skip
    assert len(names.line_mistakes(line)) == 3
    assert (
        len(names.attribute_mistakes({"gen_ai.system": ("Str", "x"), "server.port": ("Str", "1")}))
        == 2
    )
