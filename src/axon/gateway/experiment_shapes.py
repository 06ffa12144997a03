"""How experiments, their changes and their results are shown."""

from typing import Any, Literal

import msgspec

from axon.base import MICROS_PER_SECOND
from axon.experiments import Calculated, Definition, Experiment, Standing, Step
from axon.statistics import Results


class ExperimentShown(msgspec.Struct):
    """An experiment as it stands; every `..._at` is in seconds since 1970."""

    object: Literal["experiment"]
    name: str
    version: int
    state: Literal["draft", "running", "stopped"]
    definition: Definition
    unit: Literal["", "user", "org", "conversation"]
    """Who is placed, as the flag said when it started."""
    shares: dict[str, float]
    """In percent of all units, now or at its end."""
    started_at: int | None
    allocated_at: int | None
    """Since when the shares are these; results count from here."""
    stopped_at: int | None
    decision: str
    ships: str
    """The variant that everybody gets since then; empty for none."""


class ExperimentPage(msgspec.Struct):
    """All experiments, the one that was changed last first."""

    object: Literal["list"]
    data: list[ExperimentShown]


class ExperimentStep(msgspec.Struct):
    """One change in the life of an experiment."""

    object: Literal["experiment.change"]
    version: int
    action: Literal["created", "edited", "started", "widened", "stopped", "decided"]
    at: int
    by: str
    """The id of the key that asked."""
    org_id: str
    user_id: str
    why: str
    before: Any
    after: Any


class ExperimentHistory(msgspec.Struct):
    """The changes of an experiment, the newest first."""

    object: Literal["list"]
    data: list[ExperimentStep]


class ExperimentResults(msgspec.Struct):
    """What was calculated last."""

    object: Literal["experiment.results"]
    name: str
    version: int
    """Of the experiment that it is about."""
    moved: int
    """Units that were served two variants, and count nowhere."""
    results: Results


def experiment_shown(standing: Standing) -> ExperimentShown:
    """Return an experiment."""
    found: Experiment = standing.experiment
    shares = found.allocation.shares() if found.allocation else {}
    return ExperimentShown(
        object="experiment",
        name=found.name,
        version=standing.version,
        state=found.state,
        definition=found.definition,
        unit=found.unit,  # type: ignore[arg-type]
        shares={variant: places / 100 for variant, places in shares.items()},
        started_at=_seconds(found.started_us),
        allocated_at=_seconds(found.allocated_us),
        stopped_at=_seconds(found.stopped_us),
        decision=found.decision,
        ships=found.ships,
    )


def step_shown(one: Step) -> dict[str, object]:
    """Return one change, as ExperimentStep."""
    return {
        "object": "experiment.change",
        "version": one.version,
        "action": one.action,
        "at": one.at_us // MICROS_PER_SECOND,
        "by": one.credential_id,
        "org_id": one.org_id,
        "user_id": f"{one.user:016x}" if one.org_id else "",
        "why": one.why,
        "before": msgspec.Raw(one.before or b"null"),
        "after": msgspec.Raw(one.after),
    }


def results_shown(name: str, found: Calculated) -> ExperimentResults:
    """Return what was calculated."""
    return ExperimentResults(
        object="experiment.results",
        name=name,
        version=found.version,
        moved=found.moved,
        results=found.results,
    )


def _seconds(instant_us: int) -> int | None:
    return instant_us // MICROS_PER_SECOND if instant_us else None


EXPERIMENT_ANSWERS: dict[str, Any] = {
    "experiments.list_experiments": ExperimentPage,
    "experiments.get_experiment": ExperimentShown,
    "experiments.describe_experiment": ExperimentShown,
    "experiments.start_experiment": ExperimentShown,
    "experiments.widen_experiment": ExperimentShown,
    "experiments.stop_experiment": ExperimentShown,
    "experiments.decide_experiment": ExperimentShown,
    "experiments.get_results": ExperimentResults,
    "experiments.experiment_history": ExperimentHistory,
}
