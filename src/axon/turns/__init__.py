"""One turn from accepted to acknowledged, and the recovery of those a crash left open."""

from axon.turns.answer import TurnFailure
from axon.turns.engine_request import Fields
from axon.turns.failures import (
    ContextOverflow,
    Draining,
    InvalidParameter,
    TooManyTurns,
    TurnError,
)
from axon.turns.messages import UnsupportedItem, piece_of
from axon.turns.recovery import OpenTurn, read_back
from axon.turns.request import RunningTurn, TurnEnd, TurnRequest
from axon.turns.rooms import TurnOptions, TurnRooms
from axon.turns.turns import Turns

__all__ = [
    "ContextOverflow",
    "Draining",
    "Fields",
    "InvalidParameter",
    "OpenTurn",
    "RunningTurn",
    "TooManyTurns",
    "TurnEnd",
    "TurnError",
    "TurnFailure",
    "TurnOptions",
    "TurnRequest",
    "TurnRooms",
    "Turns",
    "UnsupportedItem",
    "piece_of",
    "read_back",
]
