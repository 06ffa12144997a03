"""Lines are led through what redacts them, whole; where that fails, none leaves as it came."""

import io
from collections.abc import Sequence

import msgspec

from axon.base import SystemClock
from axon.privacy import Redactor
from axon.privacy.scanner import Span
from axon.telemetry import Log, render_metrics

FLUSH_S = 60.0


def _dropped() -> float:
    [line] = [
        line
        for line in render_metrics().decode().splitlines()
        if line.startswith('axon_telemetry_dropped_total{signal="log"}')
    ]
    return float(line.split()[-1])


def test_values_in_any_field_are_hidden() -> None:
    stream, events = io.StringIO(), Log(SystemClock())
    events.configure(stream, "axon", "info", Redactor().redact_lines)
    events.error("a.b", 'for "jane@example.com"', error__message="4111 1111 1111 1111\n", turn="x1")
    events.info("c.d", "nothing to hide")
    assert events.flush(FLUSH_S)
    first, second = stream.getvalue().splitlines()
    assert '"message":"for \\"[email]\\""' in first and '"error.message":"[card]\\n"' in first
    assert '"turn":"x1"' in first and "nothing to hide" in second


def test_all_is_looked_at_but_when_the_line_was_written() -> None:
    looked_at: list[bytes] = []

    class Watched(Redactor):
        def find(self, text: bytes) -> list[Span]:
            looked_at.append(text)
            return super().find(text)

    stream, events = io.StringIO(), Log(SystemClock())
    events.configure(stream, "axon", "info", Watched().redact_lines)
    events.info("a.b", "nothing to hide")
    assert events.flush(FLUSH_S)
    written = msgspec.json.decode(stream.getvalue(), type=dict[str, str])
    del written["@timestamp"]
    assert looked_at == [b"," + msgspec.json.encode(written)[1:] + b"\n"]


def test_lines_that_cannot_be_redacted_are_dropped_and_counted() -> None:
    def broken(lines: Sequence[str]) -> str:
        raise ValueError(lines)

    stream, events = io.StringIO(), Log(SystemClock())
    events.configure(stream, "axon", "info", broken)
    before = _dropped()
    events.error("a.b", "jane@example.com")
    assert events.flush(FLUSH_S)
    assert (stream.getvalue(), _dropped() - before) == ("", 1)
