"""What can be wrong with numbers."""

from axon.base import AxonError


class StatisticsError(AxonError):
    """The statistics could not be calculated."""


class MomentsWrong(StatisticsError):
    """The sums of a metric contradict each other, or are not finite."""


class QuestionWrong(StatisticsError):
    """The experiment asks about a control, share or level that cannot be."""
