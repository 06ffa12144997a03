import io
import math
import threading

import msgspec
import pytest

from axon.base import utc_from_us
from axon.telemetry import Log, render_metrics
from axon.telemetry.lines import LINE_BYTES_MAX
from axon.telemetry.writer import LINES_QUEUED_MAX, LineWriter

FLUSH_S = 30.0


class FixedClock:
    def now_us(self) -> int:
        return 1_790_000_000_123_456

    def monotonic(self) -> float:
        return 0.0


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().split("\n") if line]


def make_log(level: str = "debug") -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    events = Log(FixedClock())
    events.configure(stream, "axon-test", level)
    return events, stream


def dropped() -> float:
    for line in render_metrics().decode().splitlines():
        if line.startswith('axon_telemetry_dropped_total{signal="log"}'):
            return float(line.split()[1])
    raise AssertionError("the drop counter is not rendered")


def test_a_line_has_the_ecs_keys_and_its_fields_with_dots() -> None:
    events, stream = make_log()
    events.info("turn.completed", "A turn ended.", axon__lag_records=3, http__request__id=None)
    assert events.flush(FLUSH_S)
    assert lines_of(stream) == [
        {
            "@timestamp": utc_from_us(FixedClock().now_us()).isoformat(),
            "log.level": "info",
            "message": "A turn ended.",
            "service.name": "axon-test",
            "event.action": "turn.completed",
            "axon.lag_records": 3,
            "http.request.id": None,
        }
    ]


def test_what_is_below_the_level_is_not_written() -> None:
    events, stream = make_log("warning")
    events.debug("a", "no")
    events.info("a", "no")
    events.warning("a", "yes")
    events.error("a", "yes")
    assert events.flush(FLUSH_S)
    assert [line["log.level"] for line in lines_of(stream)] == ["warning", "error"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError):
        make_log("loud")


def test_lines_keep_their_order() -> None:
    events, stream = make_log()
    for number in range(200):
        events.info("a", "b", number=number)
    assert events.flush(FLUSH_S)
    assert [line["number"] for line in lines_of(stream)] == list(range(200))


def test_a_line_break_in_a_field_stays_inside_its_line() -> None:
    events, stream = make_log()
    events.info("a", 'one\ntwo\u2028", "log.level": "error')
    assert events.flush(FLUSH_S)
    assert stream.getvalue().count("\n") == 1
    assert lines_of(stream)[0]["log.level"] == "info"


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "x" * LINE_BYTES_MAX},
        {"reason": "\x01" * LINE_BYTES_MAX, "other": "é" * LINE_BYTES_MAX},
        {f"field_{number}": "\x01" * 5000 for number in range(40)},
    ],
)
def test_a_line_never_exceeds_its_bound_and_says_that_it_was_cut(fields: dict[str, str]) -> None:
    events, stream = make_log()
    events.info("a", "\x02" * LINE_BYTES_MAX, **fields)
    assert events.flush(FLUSH_S)
    assert len(stream.getvalue().encode()) <= LINE_BYTES_MAX
    [line] = lines_of(stream)
    assert isinstance(line["axon.line_bytes"], int)
    assert line["axon.line_bytes"] > LINE_BYTES_MAX
    assert line["event.action"] == "a"


def test_the_longest_line_that_fits_is_not_cut() -> None:
    events, stream = make_log()
    events.info("a", "")
    assert events.flush(FLUSH_S)
    room = LINE_BYTES_MAX - len(stream.getvalue())
    events.info("a", "x" * room)
    assert events.flush(FLUSH_S)
    assert lines_of(stream)[1]["message"] == "x" * room


def test_values_json_cannot_hold_become_text_and_never_raise() -> None:
    events, stream = make_log()
    events.info("a", "half a pair: \ud800", big=2**80, whole=7, nothing=None, not_a_number=math.nan)
    assert events.flush(FLUSH_S)
    [line] = lines_of(stream)
    assert line["message"] == "half a pair: ?"
    assert line["big"] == str(2**80)
    assert line["whole"] == 7
    assert line["not_a_number"] is None


def test_before_it_is_configured_a_log_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    events = Log(FixedClock())
    events.debug("quiet", "Not at the first level.")
    events.info("early", "Nobody configured anything yet.")
    assert events.flush(FLUSH_S)
    [line] = capsys.readouterr().err.splitlines()
    assert msgspec.json.decode(line)["event.action"] == "early"


def test_who_flushes_does_not_wait_for_lines_to_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("axon.telemetry.writer._GATHER_S", 10 * FLUSH_S)
    stream = io.StringIO()
    writer = LineWriter(stream)
    for number in range(3):
        writer.put(f"{number}\n")
        assert writer.flush(FLUSH_S)
    assert stream.getvalue() == "0\n1\n2\n"


class StuckStream(io.StringIO):
    """A stream whose reader went away to lunch: write blocks until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        assert self.let_go.wait(FLUSH_S)
        return super().write(text)


@pytest.mark.failure("telemetry", "full")
def test_a_stuck_stream_costs_lines_beyond_the_bound_and_they_are_counted() -> None:
    stream = StuckStream()
    writer = LineWriter(stream)
    writer.put("first\n")
    assert stream.entered.wait(FLUSH_S)
    before = dropped()
    for number in range(LINES_QUEUED_MAX + 5):
        writer.put(f"{number}\n")
    assert dropped() - before == 5
    assert not writer.flush(within_s=0)
    stream.let_go.set()
    assert writer.flush(FLUSH_S)
    written = stream.getvalue().splitlines()
    assert written == ["first", *(str(number) for number in range(LINES_QUEUED_MAX))]


@pytest.mark.failure("telemetry", "refusing")
def test_a_broken_stream_costs_its_lines_and_the_writer_goes_on() -> None:
    stream = io.StringIO()
    stream.close()
    writer = LineWriter(stream)
    before = dropped()
    writer.put("lost\n")
    assert writer.flush(FLUSH_S)
    writer.put("lost too\n")
    assert writer.flush(FLUSH_S)
    assert dropped() - before == 2


def test_the_level_changes_while_it_runs_and_back() -> None:
    events, stream = make_log("warning")
    events.debug("a.b", "unseen")
    assert events.toggle_debug() == "debug"
    events.debug("a.b", "seen")
    assert events.toggle_debug() == "warning"
    events.info("a.b", "unseen")
    assert events.flush(FLUSH_S)
    assert [line["message"] for line in lines_of(stream)] == ["seen"]
