"""What can go wrong between the journal and PostgreSQL."""

from axon.base import AxonError


class ProjectionError(AxonError):
    """Records could not be projected."""


class Gap(ProjectionError):
    """The record's predecessor is not here yet; it may be in another journal.

    Raised by a room's projector. The record waits and is tried again until it fits.
    """


class LostEntry(ProjectionError):
    """The journal was damaged here and its entry could not be saved."""


class NewerRecord(ProjectionError):
    """A newer version of Axon wrote this journal, which waits here until that version is back."""


class JournalReplaced(ProjectionError):
    """PostgreSQL has more of this journal than the journal itself; it is not the same one."""


class TooManyParked(ProjectionError):
    """So many records could not be applied that the fault is not theirs; the journal waits."""
