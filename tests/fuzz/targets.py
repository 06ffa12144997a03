"""What is fed with made-up bytes: each reads them, and raises when it breaks what it promises.

A target takes any bytes. It may meet only the errors its reader names; everything else it lets
out, and an entry, an event or an id that was never written is an AssertionError. The same targets
serve Hypothesis (test_targets.py) and the coverage-guided engine (coverage_guided/).
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from google_crc32c import value as crc_of

from axon.app.flag_import import VENDORS, FlagFileUnusable, import_flags
from axon.base import IdMint, SystemClock, SystemRandomness, UnknownId
from axon.flags import DefinitionInvalid, EvaluationContext, read_definitions
from axon.inference.answer import Answer, StreamedAnswer
from axon.inference.broker import wire
from axon.inference.broker.seals import Seals
from axon.inference.errors import AnswerBroken, AnswerTooLarge
from axon.journal.format import (
    ENTRY_HEADER_BYTES,
    SEGMENT_HEADER,
    SEGMENT_HEADER_BYTES,
    BrokenBytes,
    NewerBytes,
    SegmentHeader,
    decode_entry,
    decode_segment_header,
    encode_entry_header,
    encode_segment_header,
    entry_hash,
    find_valid_entries,
    scan_segment,
)
from axon.records import KINDS, TokenUsage, UnknownRecord, decode, encode
from axon.stores import ValkeyReply
from axon.turns.chat import ChatAnswer, ChatHead
from axon.turns.chunks import BrokenUpstream, split_events
from axon.turns.completions import CompletionsAnswer
from axon.turns.responses import ResponseHead, ResponsesAnswer
from tests.fuzz.event_stream import events_of
from tests.records.examples import EXAMPLES

INSTANCE = "fuzzed"
ORG = "org_fuzzed"
_NO_USAGE = TokenUsage()
_IDENTITY = bytes(range(32))
_KEPT = SegmentHeader(1, 0, bytes(32), INSTANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader, and bytes it reads well, to begin from."""

    read: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


# ---- the journal ----


def segment(payloads: list[bytes]) -> bytes:
    """Return the file of a segment that holds these payloads, as kind 1."""
    data, last = encode_segment_header(_KEPT), _KEPT.previous_hash
    for sequence, payload in enumerate(payloads, start=1):
        header = encode_entry_header(1, payload, sequence, sequence - 1, last)
        last = entry_hash(header, payload)
        data += header + payload
    return data


def journal_header(data: bytes) -> None:
    """Read a segment's header; the first byte says whether its checksum is put right first."""
    data, is_mended = data[1:], data[:1] < b"\x80"
    if is_mended and len(data) >= SEGMENT_HEADER_BYTES:
        fields = data[: SEGMENT_HEADER.size]
        data = fields + crc_of(fields).to_bytes(4, "little") + data[SEGMENT_HEADER_BYTES:]
    try:
        header = decode_segment_header(data)
    except (BrokenBytes, NewerBytes):
        return
    assert encode_segment_header(header) == data[:SEGMENT_HEADER_BYTES]


def journal_entries(data: bytes) -> None:
    """Read a segment's entries; those that count are whole, in order, and linked to each other."""
    data = encode_segment_header(_KEPT) + data
    scan = scan_segment(data, _KEPT)
    assert SEGMENT_HEADER_BYTES <= scan.end <= len(data)
    assert (scan.damage is None) == (scan.end == len(data))
    offset, last = SEGMENT_HEADER_BYTES, _KEPT.previous_hash
    for sequence in range(1, scan.sequence + 1):
        entry, link = decode_entry(data, offset, 1, offset)
        assert (entry.sequence, link) == (sequence, last)
        header = encode_entry_header(
            entry.kind, entry.payload, sequence, entry.durable_through, last
        )
        assert header + entry.payload == data[offset : offset + entry.location.length]
        last = entry_hash(header, entry.payload)
        offset += entry.location.length
    assert offset == scan.end
    for entry in find_valid_entries(data, scan.end, scan.sequence, 1):
        assert entry.sequence > scan.sequence
        found, _ = decode_entry(data, entry.location.offset, 1, entry.location.offset)
        assert found == entry


def journal_mended(data: bytes) -> None:
    """Read entries whose checksums are all right, whatever else is wrong with them."""
    mended = bytearray(data)
    offset = 0
    while offset + ENTRY_HEADER_BYTES <= len(mended):
        length = ENTRY_HEADER_BYTES + mended[offset] % (len(mended) - offset)
        end = min(offset + length, len(mended))
        mended[offset : offset + 4] = (end - offset).to_bytes(4, "little")
        crc = crc_of(bytes(mended[offset + 8 : end]))
        mended[offset + 4 : offset + 8] = crc.to_bytes(4, "little")
        offset = end
    journal_entries(bytes(mended))


# ---- records, ids ----


def records(data: bytes) -> None:
    """Decode a record of the kind the first byte says; what is one reads back the same."""
    kind = data[0] % (max(KINDS) + 2) if data else 0
    try:
        record = decode(kind, data[1:])
    except UnknownRecord:
        return
    assert KINDS[kind] is type(record)
    assert decode(*encode(record)) == record


_mint = IdMint(_IDENTITY, SystemClock(), SystemRandomness())
_ID = _mint.mint("conv", ORG, 7)


def ids(data: bytes) -> None:
    """Read an id; one that is ours has our tag, so no other text is taken for it."""
    text = data.decode(errors="surrogateescape")
    try:
        minted = _mint.read(text, "conv", ORG)
    except UnknownId:
        return
    assert text == _ID, "a text we did not write"
    assert minted.user == 7


# ---- what engines send ----


def sse(data: bytes, make: Callable[[], Answer] = StreamedAnswer) -> None:
    """Cut a stream at places its first bytes name: the events are those of the uncut stream."""
    count = data[0] % 8 if data else 0
    cuts, stream = sorted(data[1 : 1 + count]), data[1 + count :]
    answer, pieces, at = make(), [], 0
    try:
        for cut in [*cuts, len(stream)]:
            if cut > at:
                pieces.append(answer.feed(stream[at:cut]))
                at = cut
        pieces.append(answer.finish(certain=True))
    except AnswerTooLarge:
        return
    assert len(b"".join(pieces)) <= len(stream) + len(b"\n\n")
    whole = events_of(stream.rstrip(b"\r\n") + b"\n\n")
    assert [event for piece in pieces for event in events_of(piece)] == whole


def engine_answers(data: bytes) -> None:
    """Retell what an engine streamed, on each surface: events of ours, or BrokenUpstream."""
    chat_head = ChatHead("chatcmpl_ours", "alias", 1)
    response_head = ResponseHead("resp_ours", 1, b'"model":"alias"', False, frozenset({"f"}))
    stream = StreamedAnswer()
    pieces = [stream.feed(data), stream.finish(certain=True)]  # complete events, as it gets them
    retold = ResponsesAnswer(
        response_head, lambda prefix, place: f"{prefix}_{place}", lambda: 1, True
    )
    relayed = (ChatAnswer(chat_head, False, 1), CompletionsAnswer(chat_head, True, 2))
    for answer in (retold, *relayed):
        shown = answer.open()
        try:
            for piece in pieces:
                shown += answer.feed(piece)
            answer.items("in_progress")
        except BrokenUpstream:
            pass
        else:
            ending = answer.ending()
            shown += answer.close(ending, answer.usage or _NO_USAGE).shown
        # What is relayed stays the engine's bytes, of which one line is taken for one event.
        for event in events_of(shown) if answer is retold else split_events(shown):
            text = event.decode(errors="strict" if answer is retold else "replace")
            assert text == "[DONE]" or msgspec.json.decode(text) is not None
        with suppress(BrokenUpstream):
            answer.take_whole(data)


def engine_end(data: bytes) -> None:
    """Read a stream that the connection's end cut off."""
    answer = StreamedAnswer()
    try:
        shown = answer.feed(data)
        shown += answer.finish(certain=False)
    except (AnswerBroken, AnswerTooLarge):
        return
    assert shown.rstrip().endswith(b"data: [DONE]")


# ---- what gateways and workers write for each other ----

_seal = Seals(_IDENTITY, SystemRandomness()).of("attempt")
_WIRE_JOB = msgspec.msgpack.encode(
    ("resp_1", "alias", b"sealed", True, "/chat/completions", 1, "in", "attempt", 1)
)


def broker(data: bytes) -> None:
    """Read an entry of each kind of stream in Valkey: what it says, or UnreadableEntry."""
    entry: ValkeyReply = [b"1-1", [b"j", data]]
    with suppress(wire.UnreadableEntry):
        wire.read_job(entry)
    head, _, rest = data.partition(b" ")
    told = [b"t", head, b"a", head, b"k", b"sse", b"n", rest[:8], b"d", rest, b"o", head]
    try:
        wire.read_order([b"1-1", [*told]])
        read = wire.read_entry([b"1-1", [*told]])
    except wire.UnreadableEntry:
        return
    for kind in (b"sse", b"started", b"whole", b"done", b"failed", head):
        sealed = _seal.seal(b"%b %d" % (kind, read.number), rest)
        for carried in (rest, sealed):
            with suppress(wire.UnreadableEntry):
                wire.read_output(read._replace(kind=kind, data=carried), _seal)


_CHUNK = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":%b}]}'
_CALL = (
    b'data: {"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c",'
    b'"function":{"name":"f","arguments":"{}"}}]}}],"usage":{"prompt_tokens":1}}'
)
_PROBABLE = (
    b'data: {"id":"x","choices":[{"index":0,"text":"hi","delta":{"content":"hi"},"logprobs":'
    b'{"content":[{"token":"hi","logprob":-1,"top_logprobs":[]}],"tokens":["hi"]}}]}'
)
_NOT_TEXT = _PROBABLE.replace(b'"token":"hi"', b'"token":"\xff"').replace(b'["hi"]', b'["\xff"]')
_DEEP = b'{"x":' + b"[" * 5000
"""Both were let through to what is read later: log probabilities, and a custom tool's input."""

_STREAM = b"\n\n".join([_CHUNK % b"null", _CALL, _CHUNK % b'"stop"', b"data: [DONE]", b""])
_PAYLOADS = [b"first", b"", b"x" * 100]
_BODY = segment(_PAYLOADS)[SEGMENT_HEADER_BYTES:]

# ---- flag definitions ----

_FLAGS = b"""{"flags": {"f": {"state": "ENABLED", "variants": {"on": true, "off": false},
"defaultVariant": "off", "targeting": {"if": [{"$ref": "eu"},
{"fractional": [["on", 1], ["off", 1]]}, {"var": "a.0"}]},
"metadata": {"axon.bucketing": "v2", "axon.ramp": "2026-01-01T00:00:00Z 9"}}},
"$evaluators": {"eu": {"sem_ver": [{"var": "v"}, ">", "1.2.3"]}}}"""
_CONTEXT = EvaluationContext(
    now_us=2_000_000_000_000_000, targeting_key="u", claimed={"v": "1.3.0", "a": ["on", {"b": 1}]}
)


def flag_definitions(data: bytes) -> None:
    """Read a document of flags and ask them all; what can be read always answers."""
    with suppress(DefinitionInvalid):
        for found in read_definitions(data).evaluate_all(_CONTEXT):
            assert (found.variant is None) or found.error_code is None


_UNLEASH = b"""{"features": [{"name": "f", "enabled": true, "strategies": [
{"name": "flexibleRollout", "parameters": {"rollout": "50"}, "segments": [1], "constraints":
[{"contextName": "n", "operator": "NUM_GT", "value": "1"}]}], "variants": [{"name": "a",
"weight": 1, "payload": {"type": "json", "value": "{}"}}]}], "segments": [{"id": 1,
"constraints": [{"contextName": "p", "operator": "IN", "values": ["x"]}]}]}"""
_GROWTHBOOK = b"""{"features": {"f": {"defaultValue": 1, "rules": [{"condition": {"a":
{"$in": [1, "b"]}, "$not": {"v": {"$vgt": "1.0.0"}}}, "variations": [1, 2], "coverage": 0.5,
"namespace": ["n", 0, 0.5]}, {"force": 3, "range": [0, 0.1]}]}}}"""


def imported_flags(data: bytes) -> None:
    """Read flags of other vendors; what can be kept is what Axon takes, and always answers."""
    for vendor in VENDORS:
        with suppress(FlagFileUnusable):
            found = import_flags(vendor, data)
            # One by one all could be taken; together they may be too many, or require each other.
            with suppress(DefinitionInvalid):
                read_definitions(msgspec.json.encode(found.document)).evaluate_all(_CONTEXT)


TARGETS: dict[str, Target] = {
    "journal_header": Target(
        read=journal_header, seeds=(b"\x00" + segment([]), b"\xff" + segment([]))
    ),
    "journal_entries": Target(read=journal_entries, seeds=(_BODY, _BODY + bytes(64))),
    "journal_mended": Target(read=journal_mended, seeds=(_BODY, _BODY + bytes(64))),
    "records": Target(
        read=records,
        seeds=tuple(bytes([kind]) + encode(one)[1] for kind, one in sorted(EXAMPLES.items())),
    ),
    "ids": Target(read=ids, seeds=(_ID.encode(), _ID.upper().encode())),
    "sse": Target(
        read=sse,
        seeds=(b"\x03\x05\x10\x40" + _STREAM, b"\x02\x07\x08" + _STREAM.replace(b"\n", b"\r\n")),
    ),
    "engine_answers": Target(
        read=engine_answers,
        seeds=(
            _STREAM,
            _PROBABLE + b"\n\n",
            _PROBABLE[6:],
            _NOT_TEXT + b"\n\n",
            _CALL.replace(b"{}", msgspec.json.encode(_DEEP.decode())[1:-1]) + b"\n\n",
            _CHUNK[6:] % b"null",
        ),
    ),
    "engine_end": Target(read=engine_end, seeds=(_STREAM, _STREAM[:-20])),
    "flag_definitions": Target(read=flag_definitions, seeds=(_FLAGS, _FLAGS.replace(b"v2", b"v3"))),
    "imported_flags": Target(read=imported_flags, seeds=(_UNLEASH, _GROWTHBOOK)),
    "broker": Target(read=broker, seeds=(_WIRE_JOB, b"attempt 12")),
}
"""By name: what `make fuzz` and the tests run."""
