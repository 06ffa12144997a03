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


class MeterWrong(MeteringError):
    """This is no meter."""


class UnknownMeter(MeteringError):
    """There is no such meter."""


class UnknownEntitlement(MeteringError):
    """There is no such entitlement."""


class EventWrong(MeteringError):
    """An event cannot be accepted, so none of its batch was."""

    def __init__(self, index: int, member: str, finding: str) -> None:
        """Name the event by its index, from 0, its member, and what is wrong with that."""
        super().__init__(f"events[{index}].{member}: {finding}")
        self.index = index
        self.member = member
        self.finding = finding


class BatchTooLarge(MeteringError):
    """A batch has more events than one request may bring."""
