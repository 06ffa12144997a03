"""What becomes of a turn's record in a trace."""

import msgspec

from axon.records import Retrieval, TurnCompleted, TurnInterrupted, TurnTimes
from axon.telemetry import Span, encode_spans, parent_span, read_traceparent, traceparent
from axon.tracing import Sampling, SpanOptions, turn_spans
from tests.records.examples import EXAMPLES

REMOVED = {"gen_ai.system", "gen_ai.prompt", "gen_ai.completion"}
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BEGAN_US = 1_790_000_000_000_000


def completed() -> TurnCompleted:
    record = EXAMPLES[3]
    assert isinstance(record, TurnCompleted)
    head = msgspec.structs.replace(
        record.head, trace=read_traceparent(PARENT), retrieval=Retrieval("found", 2, 30)
    )
    return msgspec.structs.replace(
        record,
        head=head,
        first_token_us=BEGAN_US + 700,
        completed_us=BEGAN_US + 1000,
        times=TurnTimes(
            history_us=100,
            steered_us=150,
            submitted_us=200,
            durable_us=300,
            answered_us=900,
            ended_us=1000,
            engine_us=400,
        ),
    )


def attributes(span: Span) -> dict[str, object]:
    decoded = msgspec.to_builtins(span)
    return {one["key"]: next(iter(one["value"].values())) for one in decoded.get("attributes", ())}


def test_each_step_is_a_span_within_the_turns() -> None:
    whole, *steps = turn_spans(completed(), SpanOptions(addresses={"vllm-1": ("gpu7", 8000)}))
    assert whole.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert whole.parent_span_id == "00f067aa0ba902b7", "within the client's own"
    assert {step.parent_span_id for step in steps} == {whole.span_id}
    assert len({step.span_id for step in steps}) == len(steps)
    places = {
        step.name: tuple(
            int(at) // 1000 - BEGAN_US
            for at in (step.start_time_unix_nano, step.end_time_unix_nano)
        )
        for step in steps
    }
    assert places == {
        "history": (0, 100),
        "flags": (100, 120),
        "retrieval": (120, 150),
        "accept": (200, 300),
        "queue": (200, 300),
        "chat large": (300, 900),
        "commit": (900, 1000),
    }
    (engine,) = [step for step in steps if step.name == "chat large"]
    told = attributes(engine)
    assert told["gen_ai.response.time_to_first_chunk"] == 0.0004
    assert told["gen_ai.usage.input_tokens"] == "11"
    assert (told["server.address"], told["server.port"]) == ("gpu7", "8000")
    assert whole.status is None


def test_content_is_in_no_span_and_the_record_stands_for_it() -> None:
    spans = turn_spans(completed(), SpanOptions(openinference=True))
    body = encode_spans(spans, "1", {"service.name": "axon"})
    for sealed in (b"sealed", b"\\u0005answer", "größe".encode(), b"key_05", b"topic"):
        assert sealed not in body
    assert attributes(spans[0])["axon.audit.record_id"] == "resp_03"
    assert not REMOVED & {name for span in spans for name in attributes(span)}
    kinds = [attributes(span).get("openinference.span.kind") for span in spans]
    assert set(kinds) == {"CHAIN", "LLM", None}


def test_what_flags_decided_is_an_event_each() -> None:
    flags = turn_spans(completed(), SpanOptions())[2]
    (told,) = msgspec.to_builtins(flags)["events"]
    assert told["name"] == "feature_flag.evaluation"
    names = {one["key"]: one["value"]["stringValue"] for one in told["attributes"]}
    assert names["feature_flag.result.variant"] == "warm"


def test_a_turn_whose_steps_are_not_known_is_one_span() -> None:
    record = msgspec.structs.replace(completed(), times=TurnTimes())
    (whole,) = turn_spans(record, SpanOptions())
    took_ns = int(whole.end_time_unix_nano) - int(whole.start_time_unix_nano)
    assert took_ns == (record.completed_us - record.head.accepted_us) * 1000


def test_a_turn_that_no_request_named_has_a_trace_all_the_same() -> None:
    record = completed()
    alone = msgspec.structs.replace(record, head=msgspec.structs.replace(record.head, trace=b""))
    (whole, *_), (again, *_) = (turn_spans(alone, SpanOptions()) for _ in range(2))
    assert whole.trace_id == again.trace_id
    assert len(whole.trace_id) == 32 and not whole.parent_span_id


def test_failed_and_slow_turns_are_kept_and_of_the_others_the_share() -> None:
    none, everything = Sampling(ratio=0.0, slow_s=10.0), Sampling(ratio=1.0, slow_s=10.0)
    record = completed()
    assert not none.keeps(record) and everything.keeps(record)
    slow = msgspec.structs.replace(record, times=TurnTimes(ended_us=10_000_000))
    assert none.keeps(slow)
    broken = EXAMPLES[4]
    assert isinstance(broken, TurnInterrupted) and none.keeps(broken)
    (whole,) = turn_spans(msgspec.structs.replace(broken, times=TurnTimes()), SpanOptions())
    assert whole.status is not None and attributes(whole)["error.type"] == "upstream_error"
    half = Sampling(ratio=0.5, slow_s=10.0)
    heads = [msgspec.structs.replace(record.head, trace=bytes([n]) * 16) for n in range(1, 255)]
    kept = sum(half.keeps(msgspec.structs.replace(record, head=head)) for head in heads)
    assert 90 < kept < 164


def test_only_a_whole_traceparent_is_believed() -> None:
    assert parent_span(read_traceparent(PARENT)) == "00f067aa0ba902b7"
    later = PARENT.replace(b"00-", b"cc-", 1) + b"-what-comes-later"
    assert read_traceparent(later) == read_traceparent(PARENT)
    for wrong in (
        None,
        b"",
        PARENT[:-1],
        PARENT.upper(),
        PARENT + b"-more",
        PARENT.replace(b"00-", b"ff-", 1),
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01",
        b"cc" + PARENT[2:] + b"-" + b"x" * 1000,
    ):
        assert read_traceparent(wrong) == b"", wrong


def test_an_engine_is_told_of_the_trace() -> None:
    ours = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
    span = bytes.fromhex("1111111111111111")
    expected = b"00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-"
    assert traceparent(ours, span, 1.0) == expected + b"01"
    assert traceparent(ours, span, 0.0) == expected + b"00"
    assert traceparent(read_traceparent(PARENT), span, None) == PARENT, "passed on"
    assert traceparent(ours, span, None) == b"", "nobody traces"
