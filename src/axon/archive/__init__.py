"""The archive: conversations nobody touches, in an object store until somebody does."""

from axon.archive.cooling import Cooled, Cooling
from axon.archive.errors import ArchiveError, FrameBroken, ObjectNotKept, UnknownConversation
from axon.archive.parts import ArchiveParts
from axon.archive.store import Holdings
from axon.archive.sweeping import Sweeping, Swept
from axon.archive.thawing import Thawing

__all__ = [
    "ArchiveError",
    "ArchiveParts",
    "Cooled",
    "Cooling",
    "FrameBroken",
    "Holdings",
    "ObjectNotKept",
    "Sweeping",
    "Swept",
    "Thawing",
    "UnknownConversation",
]
