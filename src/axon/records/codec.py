"""From record to (kind, payload) and back; a kind names one version of one record, for ever."""

import msgspec

from axon.base import AxonError
from axon.records.audit import AccessLogged, AdminAction, FeedbackGiven, TrainingConsent
from axon.records.conversation import ConversationChanged, ItemsAppended, SubjectErased
from axon.records.events import EventsReceived
from axon.records.experiments import ExperimentChanged
from axon.records.flags import FlagsChanged
from axon.records.turn import (
    TurnAccepted,
    TurnCompleted,
    TurnInterrupted,
    TurnProgress,
)

Record = (
    TurnAccepted
    | TurnProgress
    | TurnCompleted
    | TurnInterrupted
    | ItemsAppended
    | ConversationChanged
    | SubjectErased
    | EventsReceived
    | FlagsChanged
    | ExperimentChanged
    | FeedbackGiven
    | AccessLogged
    | AdminAction
    | TrainingConsent
)

KINDS: dict[int, type[Record]] = {
    1: TurnAccepted,
    2: TurnProgress,
    3: TurnCompleted,
    4: TurnInterrupted,
    5: ItemsAppended,
    6: ConversationChanged,
    7: SubjectErased,
    8: EventsReceived,
    9: FlagsChanged,
    10: ExperimentChanged,
    11: AdminAction,
    12: FeedbackGiven,
    13: AccessLogged,
    14: TrainingConsent,
}
"""Kind 0 is reserved so that zeroed disk never reads as a record. A number is never reused and a
written field never changes. A field may be added at the end, with a default that is true of all
that was written before; any other change is a new class under a new number."""

_KIND_OF: dict[type[Record], int] = {record: kind for kind, record in KINDS.items()}
_encoder = msgspec.msgpack.Encoder()
_decoders = {kind: msgspec.msgpack.Decoder(record) for kind, record in KINDS.items()}


class UnknownRecord(AxonError):
    """This journal entry cannot be read by this version of Axon."""


def encode(record: Record) -> tuple[int, bytes]:
    """Return the record's kind and its MessagePack payload."""
    return _KIND_OF[type(record)], _encoder.encode(record)


def decode(kind: int, payload: bytes) -> Record:
    """Return the record; raise UnknownRecord for a kind or a shape this version does not know."""
    decoder = _decoders.get(kind)
    if decoder is None:
        raise UnknownRecord(f"kind {kind}")
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnknownRecord(f"kind {kind}: {error}") from error
