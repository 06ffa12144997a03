"""What the journal says: versioned frozen records, their kinds and their codec."""

from axon.records.audit import AccessLogged, AdminAction, FeedbackGiven, TrainingConsent
from axon.records.codec import KINDS, Record, UnknownRecord, decode, encode
from axon.records.content import Charge, SealedItem, TokenUsage, Verdict
from axon.records.conversation import ConversationChanged, ItemsAppended, SubjectErased
from axon.records.events import EventsReceived, OutsideEvent
from axon.records.experiments import ExperimentChanged
from axon.records.flags import FlagChange, FlagsChanged, FlagSchedule
from axon.records.turn import (
    Assignment,
    Hold,
    Retrieval,
    TurnAccepted,
    TurnCompleted,
    TurnHead,
    TurnInterrupted,
    TurnProgress,
    TurnTimes,
)

__all__ = [
    "KINDS",
    "AccessLogged",
    "AdminAction",
    "Assignment",
    "Charge",
    "ConversationChanged",
    "EventsReceived",
    "ExperimentChanged",
    "FeedbackGiven",
    "FlagChange",
    "FlagSchedule",
    "FlagsChanged",
    "Hold",
    "ItemsAppended",
    "OutsideEvent",
    "Record",
    "Retrieval",
    "SealedItem",
    "SubjectErased",
    "TokenUsage",
    "TrainingConsent",
    "TurnAccepted",
    "TurnCompleted",
    "TurnHead",
    "TurnInterrupted",
    "TurnProgress",
    "TurnTimes",
    "UnknownRecord",
    "Verdict",
    "decode",
    "encode",
]
