"""The ways in which the archive can refuse, each with one cause."""

from axon.base import AxonError


class ArchiveError(AxonError):
    """The archive could not do what was asked."""


class FrameBroken(ArchiveError):
    """This is not what was put into the archive: it is damaged, or another conversation's."""


class ObjectNotKept(ArchiveError):
    """An object does not read back as it was written; nothing was taken out of PostgreSQL."""


class UnknownConversation(ArchiveError):
    """No such conversation is in the archive; see `axon archive status`."""
