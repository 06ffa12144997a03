"""What gateways and workers write into Valkey for each other: the form of the entries.

An *attempt* is one sending of a job; its id is unique among all attempts of all gateways. The
output of an attempt is numbered densely from 0, so what is missing or doubled is seen. Requests
and output are sealed.
"""

from typing import NamedTuple

import msgspec

from axon.base import MICROS_PER_SECOND, Clock
from axon.inference.broker.keys import (
    CANCELLED_LASTS_S,
    INBOX_ENTRIES_MAX,
    ORDERS_MAX,
    cancelled_key,
    inbox_key,
    jobs_key,
    orders_key,
)
from axon.inference.broker.seals import AttemptSeal
from axon.inference.broker.stream_entries import entry_id, fields_of
from axon.inference.errors import InferenceError
from axon.inference.jobs import (
    DONE,
    WEIGHT_OF_ALL,
    Job,
    JobFailed,
    JobOutput,
    SseBytes,
    Started,
    WholeBody,
)
from axon.inference.models import ModelTable
from axon.inference.ports import Reply
from axon.sealing import SealingError
from axon.stores import ValkeyReply

_NUMBERLESS = -1
_JOB = b"job"


class UnreadableEntry(InferenceError):
    """An entry of a stream has not the form this version writes."""


class WireJob(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A job as it travels: its model by alias, its deadline by the wall clock."""

    turn_id: str
    alias: str
    fields: bytes
    """Sealed."""
    streamed: bool
    path: str
    deadline_us: int
    inbox: str
    attempt_id: str
    deliveries: int
    """How often the job has been sent, this time included."""
    row: int = 0
    weight: int = WEIGHT_OF_ALL
    traceparent: bytes = b""


class _Named(msgspec.Struct, frozen=True, array_like=True):
    upstream: str
    data: bytes
    engine_us: int = 0


_pack = msgspec.msgpack.Encoder().encode
_job_of = msgspec.msgpack.Decoder(WireJob).decode
_named_of = msgspec.msgpack.Decoder(_Named).decode
_failed_of = msgspec.msgpack.Decoder(JobFailed).decode

SENT, TAKEN, RETURNED, SUPERSEDED = b"sent", b"taken", b"returned", b"superseded"
"""Events of an attempt: it was put (data: see sent_as), a worker has it (data: the worker's id),
the worker gives it back, the job runs otherwise and its turn saw nothing of this attempt. The first
and the last a gateway tells its own successor."""

_STARTED, _SSE, _WHOLE, _DONE, _FAILED = b"started", b"sse", b"whole", b"done", b"failed"
_ENDS = (_WHOLE, _DONE, _FAILED)


class Entry(NamedTuple):
    """One entry of an inbox."""

    entry_id: bytes
    turn_id: str
    attempt_id: str
    kind: bytes
    number: int
    """The place among the outputs of the attempt; -1 for an event."""
    data: bytes

    @property
    def is_output(self) -> bool:
        """Return whether it is something for the turn to read."""
        return self.number != _NUMBERLESS

    @property
    def is_end(self) -> bool:
        """Return whether nothing of its attempt follows."""
        return self.kind in _ENDS


class Sent(NamedTuple):
    """Where an attempt was put: which entry of which row of which lane."""

    entry_id: bytes
    row: int
    lane: str


Command = tuple[bytes | str | int, ...]
"""One Valkey command."""


def packed_job(job: Job, reply: Reply, deliveries: int, clock: Clock, seal: AttemptSeal) -> bytes:
    """Return the job as it travels."""
    left_s = job.deadline - clock.monotonic()
    return _pack(
        WireJob(
            turn_id=job.turn_id,
            alias=job.model.alias,
            fields=seal.seal(_JOB, job.fields),
            streamed=job.streamed,
            path=job.path,
            deadline_us=clock.now_us() + int(left_s * MICROS_PER_SECOND),
            inbox=reply.inbox,
            attempt_id=reply.attempt_id,
            deliveries=deliveries,
            row=job.row,
            weight=job.weight,
            traceparent=job.traceparent,
        )
    )


def entry_of(job: Job, packed: bytes) -> Command:
    """Return the command that puts a job, `packed`, into its row."""
    weight = () if job.weight == WEIGHT_OF_ALL else ("w", job.weight)
    return ("XADD", jobs_key(job.model.lane, job.row), "*", "j", packed, *weight)


def read_job(entry: ValkeyReply) -> WireJob:
    """Return the job of an entry of a lane; raise UnreadableEntry."""
    try:
        return _job_of(fields_of(entry)[b"j"])
    except (KeyError, ValueError) as error:  # a wrong shape and text that is none are ValueErrors
        raise UnreadableEntry(repr(error)) from error


def opened_job(wire: WireJob, models: ModelTable, clock: Clock, seal: AttemptSeal) -> Job:
    """Return the job as a worker runs it.

    Raises UnknownModel when the worker's settings lack the model, UnreadableEntry when the seal is
    not of its keyring.
    """
    left_s = (wire.deadline_us - clock.now_us()) / MICROS_PER_SECOND
    try:
        fields = seal.open(_JOB, wire.fields)
    except SealingError as error:
        raise UnreadableEntry(str(error)) from error
    return Job(
        turn_id=wire.turn_id,
        model=models.resolve(wire.alias),
        fields=fields,
        streamed=wire.streamed,
        path=wire.path,
        row=wire.row,
        weight=wire.weight,
        traceparent=wire.traceparent,
        deadline=clock.monotonic() + left_s,
    )


def event(reply: Reply, turn_id: str, kind: bytes, data: bytes = b"") -> Command:
    """Return the command that tells a gateway of an event of an attempt."""
    return _add(reply, turn_id, kind, _NUMBERLESS, data)


def output(reply: Reply, turn_id: str, number: int, one: JobOutput, seal: AttemptSeal) -> Command:
    """Return the command that sends output number `number` of an attempt."""
    kind, data = _plain(one)
    return _add(reply, turn_id, kind, number, seal.seal(_place(kind, number), data))


def _plain(one: JobOutput) -> tuple[bytes, bytes]:
    if isinstance(one, SseBytes):
        return _SSE, one.data
    if isinstance(one, Started):
        return _STARTED, b"%b\0%d" % (one.upstream.encode(), one.engine_us)
    if isinstance(one, WholeBody):
        return _WHOLE, _pack(_Named(one.upstream, one.data, one.engine_us))
    if isinstance(one, JobFailed):
        return _FAILED, _pack(one)
    return _DONE, b""


def _place(kind: bytes, number: int) -> bytes:
    return b"%b %d" % (kind, number)


def _add(reply: Reply, turn_id: str, kind: bytes, number: int, data: bytes) -> Command:
    bound = ("MAXLEN", "~", INBOX_ENTRIES_MAX)
    entry = ("t", turn_id, "a", reply.attempt_id, "k", kind, "n", number, "d", data)
    return ("XADD", inbox_key(reply.inbox), *bound, "*", *entry)


def read_entry(reply: ValkeyReply) -> Entry:
    """Return an entry of an inbox; raise UnreadableEntry."""
    try:
        found = fields_of(reply)
        return Entry(
            entry_id=entry_id(reply),
            turn_id=found[b"t"].decode(),
            attempt_id=found[b"a"].decode(),
            kind=found[b"k"],
            number=int(found[b"n"]),
            data=found[b"d"],
        )
    except (KeyError, ValueError) as error:
        raise UnreadableEntry(repr(error)) from error


def read_output(entry: Entry, seal: AttemptSeal) -> JobOutput:
    """Return the output an entry carries; raise UnreadableEntry."""
    kind = entry.kind
    try:
        data = seal.open(_place(kind, entry.number), entry.data)
        if kind == _SSE:
            return SseBytes(data)
        if kind == _STARTED:
            upstream, _, engine_us = data.partition(b"\0")
            return Started(upstream.decode(), int(engine_us or 0))
        if kind == _WHOLE:
            named = _named_of(data)
            return WholeBody(named.upstream, named.data, named.engine_us)
        if kind == _FAILED:
            return _failed_of(data)
    except (SealingError, ValueError, msgspec.DecodeError) as error:
        raise UnreadableEntry(repr(error)) from error
    if kind != _DONE:
        raise UnreadableEntry(repr(kind))
    return DONE


def order(worker_id: str, what: str, attempt_id: str) -> Command:
    """Return the command that gives a worker an order: cancel, pause or resume an attempt."""
    bound = ("MAXLEN", "~", ORDERS_MAX)
    return ("XADD", orders_key(worker_id), *bound, "*", "o", what, "a", attempt_id)


def dismissal(reply: Reply, worker_id: str, sent: bytes) -> list[Command]:
    """Return the commands after which nobody runs an attempt.

    `sent` is the data of its SENT event, or empty; `worker_id` who has it, or empty.
    """
    cancelled = cancelled_key(reply.attempt_id)
    commands: list[Command] = [("SET", cancelled, "1", "EX", CANCELLED_LASTS_S)]
    if worker_id:
        commands.append(order(worker_id, "cancel", reply.attempt_id))
    elif sent:
        entry, row, lane = read_sent(sent)
        commands.append(("XDEL", jobs_key(lane, row), entry))
    return commands


def sent_as(sent: Sent) -> bytes:
    """Return the data of a SENT event."""
    return b"%b/%d %b" % (sent.entry_id, sent.row, sent.lane.encode())


def read_sent(data: bytes) -> Sent:
    """Return the data of a SENT event; without a row it is of a process before there were any."""
    place, _, lane = data.partition(b" ")
    entry, _, row = place.partition(b"/")
    return Sent(entry, int(row or 0), lane.decode(errors="replace"))


def read_order(reply: ValkeyReply) -> tuple[str, str]:
    """Return what a worker is to do with which attempt; raise UnreadableEntry."""
    try:
        found = fields_of(reply)
        return found[b"o"].decode(), found[b"a"].decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise UnreadableEntry(repr(error)) from error
