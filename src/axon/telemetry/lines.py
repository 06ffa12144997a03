"""One JSON object per log line, named by the Elastic Common Schema."""

import atexit
from functools import lru_cache
from typing import TextIO

import msgspec

from axon.base import KIB, MICROS_PER_SECOND, Clock, SystemClock, utc_from_us
from axon.telemetry.writer import LineWriter, Redact

Field = str | int | float | bool | None

LINE_BYTES_MAX = 16 * KIB
"""Longest line, newline included: what collectors accept without cutting it themselves."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_CLIPPED_CHARACTERS = 1024
"""What is kept of each text of a line that was too long; six bytes each at worst in JSON."""

_EXIT_FLUSH_S = 1.0
"""How long the end of the process waits for a slow stream."""

_encoder = msgspec.json.Encoder(enc_hook=str)


class Log:
    """Writes events as log lines; never blocks, never raises, says in a metric what it dropped.

    Fields are named with `__` where the line has a dot: `axon__lag_records=3` becomes
    `"axon.lag_records": 3`. No field may hold what a person or a model wrote.
    """

    def __init__(self, clock: Clock) -> None:
        """Until `configure`, lines of level info and above go to stderr."""
        self._clock = clock
        self._writer = LineWriter()
        self._service = "axon"
        self._threshold = self._configured = LEVELS["info"]

    def configure(
        self, stream: TextIO, service: str, level: str, redact: Redact | None = None
    ) -> None:
        """Write to `stream` from now on, as `service`, what is at least `level` (see LEVELS).

        `redact` is asked on the writer's own thread, with whole lines; one that raises costs them.
        """
        self._threshold = self._configured = LEVELS[level]
        self._service = service
        self._writer = LineWriter(stream, redact)

    def toggle_debug(self) -> str:
        """Write lines of all levels from now on, or again only those configured; return which."""
        debug = LEVELS["debug"]
        self._threshold = self._configured if self._threshold == debug else debug
        return next(name for name, number in LEVELS.items() if number == self._threshold)

    def debug(self, action: str, message: str, **fields: Field) -> None:
        """Write what only somebody who looks for a bug wants to read."""
        self._line("debug", action, message, fields)

    def info(self, action: str, message: str, **fields: Field) -> None:
        """Write what happened as it should."""
        self._line("info", action, message, fields)

    def warning(self, action: str, message: str, **fields: Field) -> None:
        """Write what was not as it should be and that Axon copes with by itself."""
        self._line("warning", action, message, fields)

    def error(self, action: str, message: str, **fields: Field) -> None:
        """Write what a person must look at."""
        self._line("error", action, message, fields)

    def event(self, action: str, message: str, fields: dict[str, Field]) -> None:
        """Write an info line whose field names are given as they stand in it, dots and all."""
        self._write("info", action, message, fields)

    def flush(self, within_s: float) -> bool:
        """Block until the lines so far are written; return False after `within_s` seconds."""
        return self._writer.flush(within_s)

    def _line(self, level: str, action: str, message: str, fields: dict[str, Field]) -> None:
        if LEVELS[level] >= self._threshold:
            dotted = {_dotted(name): value for name, value in fields.items()}
            self._write(level, action, message, dotted)

    def _write(self, level: str, action: str, message: str, fields: dict[str, Field]) -> None:
        if LEVELS[level] < self._threshold:
            return
        event: dict[str, Field] = {
            "@timestamp": _timestamp(self._clock.now_us()),
            "log.level": level,
            "message": message,
            "service.name": self._service,
            "event.action": action,
        }
        core = len(event)
        event.update(fields)
        self._writer.put(_encode(event, core))


def _timestamp(now_us: int) -> str:
    """Return the instant in ISO 8601 with microseconds, in UTC."""
    second, micros = divmod(now_us, MICROS_PER_SECOND)
    return f"{_second(second)}.{micros:06d}+00:00"


@lru_cache(maxsize=2)  # lines come by the thousand a second
def _second(second: int) -> str:
    return utc_from_us(second * MICROS_PER_SECOND).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)  # field names stand in the source, so there are few
def _dotted(name: str) -> str:
    return name.replace("__", ".")


def _encode(event: dict[str, Field], core: int) -> str:
    """Return the line; a value JSON cannot hold is made text, and what is too long is cut."""
    try:
        line = _encoder.encode(event)
    except (UnicodeEncodeError, OverflowError):
        line = _encoder.encode(_clipped(event))
    if len(line) >= LINE_BYTES_MAX:
        line = _encoder.encode(_clipped(event) | {"axon.line_bytes": len(line)})
    if len(line) >= LINE_BYTES_MAX:
        kept = dict(list(event.items())[:core])
        line = _encoder.encode(_clipped(kept) | {"axon.line_bytes": len(line)})
    return line.decode() + "\n"


def _clipped(event: dict[str, Field]) -> dict[str, Field]:
    return {name: value if _fits(value) else _clip(str(value)) for name, value in event.items()}


def _fits(value: Field) -> bool:
    return isinstance(value, float | None) or (isinstance(value, int) and abs(value) < 1 << 63)


def _clip(text: str) -> str:
    return text[:_CLIPPED_CHARACTERS].encode("utf-8", "replace").decode()


log = Log(SystemClock())
configure_log = log.configure
atexit.register(log.flush, _EXIT_FLUSH_S)
