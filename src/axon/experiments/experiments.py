"""START HERE: experiments in somebody's hands: described, started, widened, stopped, decided."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from axon.base import Clock, IdMint, TaskOwner, until_done
from axon.experiments.errors import (
    ExperimentInvalid,
    ExperimentNotThen,
    ExperimentsUnavailable,
    NoResults,
    UnknownExperiment,
)
from axon.experiments.experiment import DRAFT, RUNNING, STOPPED, Experiment, read_definition
from axon.experiments.flag_side import Doing, FlagSide
from axon.experiments.killing import Killing
from axon.experiments.store import (
    Calculated,
    Standing,
    Step,
    apply_step,
    connected,
    exclude_others,
    read_all,
    read_history,
    read_results,
    read_standing,
)
from axon.flags import AllocationWrong, FlagChanges, Mistake, is_name
from axon.journal import Journal
from axon.records import ExperimentChanged, encode
from axon.stores import Postgres
from axon.telemetry import log

WHY_CHARS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentsParts:
    """What experiments need."""

    postgres: Postgres
    journal: Journal
    mint: IdMint
    clock: Clock
    flags: FlagChanges


class Experiments:
    """One for each serving process. Every method may raise ExperimentsUnavailable, and those that
    change something FlagsUnavailable and JournalError too.

    A step that also changes the flag changes that first: whoever was cut off in between asks
    again, and finds the flag as it should be.
    """

    def __init__(self, parts: ExperimentsParts) -> None:
        """The parts are opened and closed by their owner."""
        self._parts = parts
        self._flag_side = FlagSide(parts.flags)
        self._killing = Killing(parts.postgres, parts.flags)
        self._tasks = TaskOwner(_task_failed)

    def start_tasks(self) -> None:
        """Switch flags off from now on, as guardrails want it."""
        self._tasks.start(self._killing.keep(), "switch off flags for guardrails")

    async def stop_tasks(self) -> None:
        """Leave that to others."""
        await self._tasks.cancel()

    async def describe(self, doing: Doing, name: str, content: bytes) -> Standing:
        """Make an experiment, or change one that has not started; raises ExperimentInvalid."""
        if not is_name(name) or name.startswith("$"):
            raise ExperimentInvalid([Mistake("$", "no experiment can be called so")])
        definition = read_definition(name, content)
        await self._flag_side.check(name, definition)
        after = Experiment(name=name, definition=definition)
        async with connected(self._parts.postgres) as connection:
            before = await read_standing(connection, name)
        if before is not None:
            _expect(before, DRAFT)
        return await self._step(doing, "edited" if before else "created", before, after)

    async def start(self, doing: Doing, name: str) -> Standing:
        """Begin: from now on units have their variants. Raises ExperimentInvalid when the flag
        does not fit, ExperimentNotThen, UnknownExperiment."""
        before = await self.read(name)
        _expect(before, DRAFT)
        begun = await self._flag_side.begin(doing, before.experiment)
        now_us = self._parts.clock.now_us()
        after = msgspec.structs.replace(
            before.experiment,
            state=RUNNING,
            unit=begun.unit,
            allocation=begun.allocation,
            started_us=now_us,
            allocated_us=now_us,
            flag_version=begun.version,
        )
        return await self._step(doing, "started", before, after)

    async def widen(self, doing: Doing, name: str, shares: Mapping[str, float]) -> Standing:
        """Give variants more units, in percent of all; raises ExperimentInvalid for less.

        Who has a variant keeps it; only who takes no part, or has the control because it gets the
        rest, gets another one.
        """
        before = await self.read(name)
        _expect(before, RUNNING)
        allocation = before.experiment.allocation
        assert allocation is not None, "a running experiment has an allocation"
        try:
            allocation = allocation.raised(shares)
        except AllocationWrong as error:
            raise ExperimentInvalid([Mistake(f"$.shares.{error.variant}", error.why)]) from error
        version = await self._flag_side.put(doing, before.experiment, allocation)
        after = msgspec.structs.replace(
            before.experiment,
            allocation=allocation,
            allocated_us=self._parts.clock.now_us(),
            flag_version=version,
        )
        return await self._step(doing, "widened", before, after)

    async def stop(self, doing: Doing, name: str, decision: str, ships: str = "") -> Standing:
        """End it: the flag is again what its definition says, or `ships` for everybody.

        Raises ExperimentInvalid for a variant that there is not.
        """
        before = await self.read(name)
        _expect(before, RUNNING)
        await self._flag_side.end(doing, before.experiment, ships)
        after = msgspec.structs.replace(
            before.experiment,
            state=STOPPED,
            stopped_us=self._parts.clock.now_us(),
            decision=decision,
            ships=ships,
        )
        return await self._step(doing, "stopped", before, after)

    async def decide(self, doing: Doing, name: str, decision: str) -> Standing:
        """Write down what was decided, of an experiment that has stopped."""
        before = await self.read(name)
        _expect(before, STOPPED)
        after = msgspec.structs.replace(before.experiment, decision=decision)
        return await self._step(doing, "decided", before, after)

    async def read(self, name: str) -> Standing:
        """Return an experiment; raises UnknownExperiment."""
        async with connected(self._parts.postgres) as connection:
            found = await read_standing(connection, name)
        if found is None:
            raise UnknownExperiment(name)
        return found

    async def listed(self) -> list[Standing]:
        """Return all, the one that was changed last first."""
        async with connected(self._parts.postgres) as connection:
            return await read_all(connection)

    async def history(self, name: str) -> list[Step]:
        """Return the changes of an experiment, the newest first; raises UnknownExperiment."""
        async with connected(self._parts.postgres) as connection:
            found = await read_history(connection, name)
        if not found:
            raise UnknownExperiment(name)
        return found

    async def results(self, name: str) -> Calculated:
        """Return what was calculated last; raises NoResults, UnknownExperiment."""
        await self.read(name)
        async with connected(self._parts.postgres) as connection:
            found = await read_results(connection, name)
        if found is None:
            raise NoResults(name)
        return found

    async def _step(
        self, doing: Doing, action: str, before: Standing | None, after: Experiment
    ) -> Standing:
        """Write the change: the record first, then the tables, durable on return."""
        parts, author = self._parts, doing.author
        if len(doing.why) > WHY_CHARS_MAX or "\0" in doing.why + after.decision:
            why = f"at most {WHY_CHARS_MAX} characters, and no U+0000"
            raise ExperimentInvalid([Mistake("$.why", why)])
        version = before.version + 1 if before else 1
        record = ExperimentChanged(
            change_id=parts.mint.mint("exc", author.org_id, author.user),
            name=after.name,
            version=version,
            action=action,
            org_id=author.org_id,
            user=author.user,
            credential_id=author.credential_id,
            at_us=parts.clock.now_us(),
            why=doing.why,
            before=msgspec.json.encode(before.experiment) if before else b"",
            after=msgspec.json.encode(after),
        )
        parts.journal.admit()
        async with connected(parts.postgres) as connection, connection.transaction():
            await exclude_others(connection)
            standing = await read_standing(connection, after.name)
            if (standing.version if standing else 0) != version - 1:
                raise ExperimentNotThen("somebody else changed it meanwhile")
            await until_done(parts.journal.append(*encode(record)))
            if not await apply_step(connection, record):
                raise ExperimentsUnavailable("another change came first")
        return Standing(version=version, experiment=after)


def _expect(standing: Standing, state: str) -> None:
    if standing.experiment.state != state:
        name, found = standing.experiment.name, standing.experiment.state
        raise ExperimentNotThen(f'"{name}" is {found}, not {state}')


def _task_failed(name: str, error: BaseException) -> None:
    log.error(
        "task.failed", "A background task failed.", axon__task=name, error__message=repr(error)
    )
