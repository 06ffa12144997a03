"""Feeds the journals' records to the rooms' projectors, keeps cursors, parks what does not fit."""

from axon.projection.errors import (
    Gap,
    JournalReplaced,
    LostEntry,
    NewerRecord,
    ProjectionError,
    TooManyParked,
)
from axon.projection.parked import ParkedRecord
from axon.projection.projection import Projection
from axon.projection.records import Positioned, RoomProjector
from axon.projection.replaying import Replayed
from axon.projection.status import JournalLag, ProjectorStatus, read_status

__all__ = [
    "Gap",
    "JournalLag",
    "JournalReplaced",
    "LostEntry",
    "NewerRecord",
    "ParkedRecord",
    "Positioned",
    "Projection",
    "ProjectionError",
    "ProjectorStatus",
    "Replayed",
    "RoomProjector",
    "TooManyParked",
    "read_status",
]
