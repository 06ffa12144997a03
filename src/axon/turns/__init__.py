"""One turn from accepted to acknowledged, and the recovery of those a crash left open."""

from axon.turns.answer import TurnFailure
from axon.turns.compacting import CompactedInput
from axon.turns.embedding_cache import EmbeddingCache, EmbeddingPlan
from axon.turns.engine_request import Fields
from axon.turns.failures import (
    CompactionFailed,
    ContextOverflow,
    Draining,
    InvalidParameter,
    NoTitle,
    TooManyTurns,
    TurnError,
)
from axon.turns.left_open import OpenTurn, read_back
from axon.turns.messages import UnsupportedItem, chat_messages, piece_of
from axon.turns.request import RunningTurn, TurnEnd, TurnRequest
from axon.turns.responses import ResponsesAnswer, usage_json
from axon.turns.retries import Recovering, Try
from axon.turns.rooms import TurnOptions, TurnRooms
from axon.turns.stream import count_events, skip_events
from axon.turns.turns import Turns

__all__ = [
    "CompactedInput",
    "CompactionFailed",
    "ContextOverflow",
    "Draining",
    "EmbeddingCache",
    "EmbeddingPlan",
    "Fields",
    "InvalidParameter",
    "NoTitle",
    "OpenTurn",
    "Recovering",
    "ResponsesAnswer",
    "RunningTurn",
    "TooManyTurns",
    "Try",
    "TurnEnd",
    "TurnError",
    "TurnFailure",
    "TurnOptions",
    "TurnRequest",
    "TurnRooms",
    "Turns",
    "UnsupportedItem",
    "chat_messages",
    "count_events",
    "piece_of",
    "read_back",
    "skip_events",
    "usage_json",
]
