"""The ways in which forgetting or exporting a person can be refused."""

from axon.base import AxonError


class SubjectsError(AxonError):
    """Something is wrong with what was asked about a person."""


class SubjectsUnavailable(SubjectsError):
    """People cannot be exported or erased now; please retry."""


class ExportTooLarge(SubjectsError):
    """There is more of this person than one archive holds."""
