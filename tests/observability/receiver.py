"""Rotel, an OpenTelemetry collector from the package index: it prints what it receives."""

import importlib.util
import re
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.kafka.real_kafka import free_ports

SPAN = re.compile(r"^Span #\d+$", re.MULTILINE)
_FIELD = re.compile(r"^\s*([A-Za-z ]+?)\s*: ?(.*)$", re.MULTILINE)
_ATTRIBUTE = re.compile(r"^\s*-> ([\w.]+): (\w+)\((.*)\)$", re.MULTILINE)
WAIT_S = 30


def rotel_program() -> Path | None:
    """Return the receiver's program; None where the package has none for this machine."""
    found = importlib.util.find_spec("rotel")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name("rotel-agent")


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as the receiver understood it."""

    fields: dict[str, str]
    attributes: dict[str, tuple[str, str]]
    """Type and value."""

    @property
    def trace_id(self) -> str:
        return self.fields["Trace ID"]

    @property
    def name(self) -> str:
        return self.fields["Name"]


class Receiver:
    """A running one."""

    def __init__(self, program: Path, log: Path) -> None:
        self.port, grpc = free_ports(2)
        self._log = log
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [
                    *(str(program), "start", "--exporter", "blackhole"),
                    *("--debug-log", "traces", "--debug-log-verbosity", "detailed"),
                    *("--otlp-http-endpoint", f"127.0.0.1:{self.port}"),
                    *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[ReceivedSpan]:
        """Return everything received so far."""
        found = []
        for text in SPAN.split(self._log.read_text())[1:]:
            fields = dict(_FIELD.findall(text))
            attributes = {name: (kind, value) for name, kind, value in _ATTRIBUTE.findall(text)}
            found.append(ReceivedSpan(fields, attributes))
        return found

    def trace(self, trace_id: str) -> dict[str, ReceivedSpan]:
        """Return the spans of a trace by name, once its last one is there."""
        give_up = time.monotonic() + WAIT_S
        while True:
            found = {span.name: span for span in self.spans() if span.trace_id == trace_id}
            if "commit" in found:
                return found
            assert time.monotonic() < give_up, f"no trace {trace_id} in {WAIT_S} s"
            time.sleep(0.05)

    def wait_ready(self) -> None:
        """Return once it answers."""
        give_up = time.monotonic() + WAIT_S
        while True:
            try:
                urllib.request.urlopen(self.endpoint, timeout=1)
            except urllib.error.HTTPError:
                return  # it says that there is nothing here
            except OSError:
                assert time.monotonic() < give_up, self._log.read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
