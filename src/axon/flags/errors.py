"""The ways a definition can be refused."""

from collections.abc import Sequence
from typing import NamedTuple

from axon.base import AxonError


class FlagsError(AxonError):
    """Something is wrong with the flags."""


class Mistake(NamedTuple):
    """One thing that is wrong with a document."""

    path: str
    """Where, as a JSON path: `$.flags["checkout"].targeting.if[1]`."""
    message: str
    """What, as a sentence without its end."""


class AllocationWrong(FlagsError):
    """The shares of an experiment cannot be these."""

    def __init__(self, variant: str, why: str) -> None:
        """`variant` is the one whose share is wrong."""
        self.variant, self.why = variant, why
        super().__init__(f'"{variant}" {why}')


class DefinitionInvalid(FlagsError):
    """The flag definitions cannot be used."""

    def __init__(self, errors: Sequence[Mistake]) -> None:
        """`errors` are all that were found, in the order of the document; at least one."""
        self.errors = tuple(errors)
        first = self.errors[0]
        more = f", and {len(self.errors) - 1} more" if len(self.errors) > 1 else ""
        super().__init__(f"{first.path}: {first.message}{more}")
