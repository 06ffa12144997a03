"""A draft of flags tried on turns of the past: who would have moved, and what it would cost."""

from axon.app.flag_replay.draft import Draft, DraftWithoutTurns
from axon.app.flag_replay.outcome import Cost, FlagMoves, Move, Outcome
from axon.app.flag_replay.past_turns import Range, Stage, replay

__all__ = [
    "Cost",
    "Draft",
    "DraftWithoutTurns",
    "FlagMoves",
    "Move",
    "Outcome",
    "Range",
    "Stage",
    "replay",
]
