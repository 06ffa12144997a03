"""A bounded queue of log lines and the one thread that writes them."""

import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

from axon.telemetry.metrics import counter

LINES_QUEUED_MAX = 4096
"""Lines that may wait for the stream: 64 MiB at worst, about a second of a burst usually."""

Redact = Callable[[Sequence[str]], str]
"""Takes lines and returns them in one text, without what nobody may read in them."""

_GATHER_S = 0.1
"""How long the thread lets lines gather after it wakes: under load the callers then pay for ten
wake-ups a second, and not for one each."""

dropped = counter(
    "axon_telemetry_dropped_total",
    "Log lines and traces that nobody got: too many waited, or the receiver failed.",
    ("signal",),
)
_dropped = dropped.labels("log")


class LineWriter:
    """Writes lines to a stream in the background; a slow or broken stream costs lines, not time."""

    def __init__(self, stream: TextIO | None = None, redact: Redact | None = None) -> None:
        """Write to `stream`, or to whatever sys.stderr is at the time, what `redact` returns."""
        self._stream = stream
        self._redact = redact
        self._waiting: deque[str | threading.Event] = deque()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, line: str) -> None:
        """Queue one line, its newline included; drop and count it when LINES_QUEUED_MAX wait."""
        if len(self._waiting) >= LINES_QUEUED_MAX:
            _dropped.inc()
            return
        self._waiting.append(line)
        self._rouse()

    def flush(self, within_s: float) -> bool:
        """Block until the lines queued so far are written; return False if that took too long."""
        written = threading.Event()
        self._waiting.append(written)
        self._hurry.set()
        self._rouse()
        return written.wait(within_s)

    def _rouse(self) -> None:
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            with self._start:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._hurry.wait(_GATHER_S)
            self._hurry.clear()
            self._wake.clear()
            lines: list[str] = []
            flushes: list[threading.Event] = []
            for _ in range(len(self._waiting)):
                entry = self._waiting.popleft()
                if isinstance(entry, str):
                    lines.append(entry)
                else:
                    flushes.append(entry)
            self._write(lines)
            for written in flushes:
                written.set()

    def _write(self, lines: list[str]) -> None:
        stream = self._stream or sys.stderr
        try:
            text = "".join(lines) if self._redact is None else self._redact(lines)
        except Exception:  # noqa: BLE001 - whatever it is, no line leaves as it came
            _dropped.inc(len(lines))
            return
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk, a closed file: count and live
            _dropped.inc(len(lines))
