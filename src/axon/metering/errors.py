"""What can go wrong in metering."""

from axon.base import AxonError


class MeteringError(AxonError):
    """Prices or usage could not be read or changed."""


class UsageUnavailable(MeteringError):
    """PostgreSQL does not answer, so nobody can say what was used."""


class PriceWrong(MeteringError):
    """This is no price."""


class RangeWrong(MeteringError):
    """This range of time cannot be asked for."""
