"""The ways a change of the flags, or a question about them, can be refused."""

from axon.flags.errors import FlagsError


class FlagsUnavailable(FlagsError):
    """The flags cannot be changed or listed now; please retry.

    What was asked may or may not have been done.
    """


class UnknownFlag(FlagsError):
    """There is no such flag."""


class UnknownVersion(FlagsError):
    """The flag never had this version."""


class UnknownSchedule(FlagsError):
    """There is no such change to be made later."""


class FlagChangedMeanwhile(FlagsError):
    """The flag has another version by now: look at it again."""


class FlagFromFile(FlagsError):
    """This flag comes from a file: change it there."""


class ChangeWrong(FlagsError):
    """The flags cannot be changed like this."""


class TooManyListeners(FlagsError):
    """Too many clients wait for changes of the flags here; please retry."""
