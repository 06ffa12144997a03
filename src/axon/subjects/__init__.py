"""Everything of one person: exported for them, or forgotten for ever."""

from axon.subjects.erasing import (
    Erasing,
    ErasingParts,
    PurgeAgain,
    Receipt,
    SignedReceipt,
    StoreReceipt,
)
from axon.subjects.errors import ExportTooLarge, SubjectsError, SubjectsUnavailable
from axon.subjects.exporting import Archive, Exporting, ExportingParts

__all__ = [
    "Archive",
    "Erasing",
    "ErasingParts",
    "ExportTooLarge",
    "Exporting",
    "ExportingParts",
    "PurgeAgain",
    "Receipt",
    "SignedReceipt",
    "StoreReceipt",
    "SubjectsError",
    "SubjectsUnavailable",
]
