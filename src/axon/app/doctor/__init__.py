"""Looks at every part of an installation and says what to do about each that is not well."""

from axon.app.doctor.checks import CHECKS
from axon.app.doctor.examination import examine
from axon.app.doctor.finding import Examined, Finding

__all__ = ["CHECKS", "Examined", "Finding", "examine"]
