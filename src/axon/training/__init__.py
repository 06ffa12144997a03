"""What models may learn from: examples made of turns whose people agreed, redacted."""

from axon.training.consent import ConsentParts, Consents, Policy
from axon.training.errors import TrainingError, TrainingUnavailable, Unusable
from axon.training.exporting import (
    PAGE_TURNS_MAX,
    TrainingExports,
    TrainingFilter,
    TrainingPage,
    TrainingParts,
)
from axon.training.formats import FORMATS, Format
from axon.training.projector import TrainingProjector

__all__ = [
    "FORMATS",
    "PAGE_TURNS_MAX",
    "ConsentParts",
    "Consents",
    "Format",
    "Policy",
    "TrainingError",
    "TrainingExports",
    "TrainingFilter",
    "TrainingPage",
    "TrainingParts",
    "TrainingProjector",
    "TrainingUnavailable",
    "Unusable",
]
