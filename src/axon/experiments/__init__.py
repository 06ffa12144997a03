"""What flags are tried for: experiments, what came of them, and the guardrails that end them."""

from axon.experiments.errors import (
    ExperimentInvalid,
    ExperimentNotThen,
    ExperimentsError,
    ExperimentsUnavailable,
    NoResults,
    UnknownExperiment,
)
from axon.experiments.experiment import Definition, Experiment, Guardrail
from axon.experiments.experiments import Experiments, ExperimentsParts
from axon.experiments.flag_side import Doing
from axon.experiments.killing import Killing
from axon.experiments.measuring import Measured, measure
from axon.experiments.metrics import COUNTED
from axon.experiments.news import News, news
from axon.experiments.projector import ExperimentsProjector
from axon.experiments.store import Calculated, Standing, Step
from axon.experiments.watching import ExperimentsWatch

__all__ = [
    "COUNTED",
    "Calculated",
    "Definition",
    "Doing",
    "Experiment",
    "ExperimentInvalid",
    "ExperimentNotThen",
    "Experiments",
    "ExperimentsError",
    "ExperimentsParts",
    "ExperimentsProjector",
    "ExperimentsUnavailable",
    "ExperimentsWatch",
    "Guardrail",
    "Killing",
    "Measured",
    "News",
    "NoResults",
    "Standing",
    "Step",
    "UnknownExperiment",
    "measure",
    "news",
]
