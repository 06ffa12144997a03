"""Calculates what running experiments say, and asks for the end of one that does harm."""

import asyncio
from dataclasses import dataclass

from axon.base import Clock
from axon.experiments.experiment import RUNNING, STOPPED, Experiment
from axon.experiments.measuring import Measured, measure
from axon.experiments.store import (
    Calculated,
    Kill,
    Standing,
    ask_kill,
    connected,
    read_all,
    read_results,
    write_results,
)
from axon.statistics import Comparison, Results, StatisticsError, judge
from axon.stores import Postgres
from axon.telemetry import counter, gauge, log

TIMEOUT_S = 120.0
"""Of all sums of one experiment: a week of a large one is some million turns."""

_guardrails = counter("axon_experiment_guardrails_total", "Guardrails that wanted a flag off.")
_moved = gauge(
    "axon_experiment_units_moved", "Units that were served two variants.", ("experiment",)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """Why a flag has to go off."""

    metric: str
    variant: str
    comparison: Comparison

    @property
    def why(self) -> str:
        """Return it for people."""
        found = self.comparison
        relative = "" if found.relative is None else f" ({found.relative:+.1%})"
        return (
            f'guardrail {self.metric}: "{self.variant}" is worse than the control by'
            f" {found.difference:g}{relative}, p {found.anytime_p:.2g} at any time"
        )


class ExperimentsWatch:
    """One look calculates every experiment that runs, or has stopped since its last results."""

    def __init__(self, postgres: Postgres, identity: bytes, clock: Clock) -> None:
        """`identity` is that of the installation: numbers of users are made with it."""
        self._postgres = postgres
        self._identity = identity
        self._clock = clock

    async def look(self) -> None:
        """Calculate what is due; raises ExperimentsUnavailable, and may be repeated.

        One whose numbers cannot be judged does not keep others from being looked at.
        """
        async with connected(self._postgres) as connection:
            due = await read_all(connection, RUNNING)
            for standing in await read_all(connection, STOPPED):
                last = await read_results(connection, standing.experiment.name)
                if last is None or last.version < standing.version:
                    due.append(standing)
        for standing in due:
            try:
                await self._calculate(standing)
            except StatisticsError as error:
                log.warning(
                    "experiments.not-judged",
                    f"An experiment has numbers that cannot be judged: {error}",
                    axon__experiment=standing.experiment.name,
                )

    async def _calculate(self, standing: Standing) -> None:
        experiment, now_us = standing.experiment, self._clock.now_us()
        if experiment.allocation is None:
            return
        async with (
            connected(self._postgres, TIMEOUT_S) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            measured = await measure(connection, experiment, self._identity, now_us)
            before = await read_results(connection, experiment.name)
        same = before is not None and _since(before.results) == experiment.allocated_us
        results = await asyncio.to_thread(
            _judged, experiment, measured, now_us, before.results if before and same else None
        )
        found = Calculated(version=standing.version, moved=measured.moved, results=results)
        _moved.labels(experiment.name).set(measured.moved)
        harm = _harm(experiment, results) if experiment.state == RUNNING else None
        asked = False
        async with connected(self._postgres) as connection, connection.transaction():
            await write_results(connection, experiment.name, found)
            if harm is not None:
                kill = Kill(
                    name=experiment.name,
                    flag=experiment.definition.flag,
                    metric=harm.metric,
                    why=harm.why,
                )
                asked = await ask_kill(connection, kill, now_us)
        if asked and harm is not None:
            _guardrails.inc()
            log.warning(
                "experiments.guardrail",
                f"The experiment {experiment.name} does harm: {harm.why}",
                axon__experiment=experiment.name,
                axon__flag=experiment.definition.flag,
            )


def _since(results: Results) -> int:
    return results.question.started_us


def _judged(
    experiment: Experiment, measured: Measured, now_us: int, before: Results | None
) -> Results:
    question = experiment.question(measured.currency)
    seen = {variant: measured.units.get(variant, 0) for variant in question.shares}
    sums = {
        name: {variant: one for variant, one in moments.items() if variant in seen}
        for name, moments in measured.moments.items()
    }
    return judge(question, seen, sums, now_us, before)


def _harm(experiment: Experiment, results: Results) -> Harm | None:
    """Return the first guardrail that may kill and wants to; its bound holds at any time."""
    kills = {one.metric for one in experiment.definition.guardrails if one.kills}
    for found in results.metrics:
        if found.metric.purpose != "guardrail" or found.metric.name not in kills:
            continue
        for row in found.rows:
            if row.comparison is not None and row.comparison.harm:
                return Harm(
                    metric=found.metric.name, variant=row.variant, comparison=row.comparison
                )
    return None
