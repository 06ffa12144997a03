"""What can be wrong with an experiment."""

from collections.abc import Sequence

from axon.base import AxonError
from axon.flags import Mistake


class ExperimentsError(AxonError):
    """Something is wrong with the experiments."""


class ExperimentsUnavailable(ExperimentsError):
    """Experiments cannot be read or changed now; please retry."""


class UnknownExperiment(ExperimentsError):
    """There is no such experiment."""


class NoResults(ExperimentsError):
    """Nothing was calculated for this experiment so far."""


class ExperimentNotThen(ExperimentsError):
    """The experiment is not in a state in which that can be done."""


class ExperimentInvalid(ExperimentsError):
    """The experiment cannot be done as it is described."""

    def __init__(self, errors: Sequence[Mistake]) -> None:
        """`errors` are all that were found; at least one."""
        self.errors = tuple(errors)
        first = self.errors[0]
        more = f", and {len(self.errors) - 1} more" if len(self.errors) > 1 else ""
        super().__init__(f"{first.path}: {first.message}{more}")
