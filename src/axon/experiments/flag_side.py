"""What an experiment does to its flag: its metadata says whom it gives which variant."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from axon.experiments.errors import ExperimentInvalid
from axon.experiments.experiment import Definition, Experiment
from axon.flags import (
    ALLOCATION,
    EXPERIMENTS,
    Allocation,
    Asked,
    Author,
    FlagChanges,
    KeptFlag,
    Mistake,
    UnknownFlag,
    read_allocation,
    write_allocation,
)

_RAMP, _TURN, _UNIT = "axon.ramp", "axon.turn", "axon.unit"

_Content = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """Who does something, and why."""

    author: Author = field(default_factory=Author)
    why: str = ""


class Begun(NamedTuple):
    """How a flag stands under an experiment."""

    unit: str
    allocation: Allocation
    version: int


class FlagSide:
    """Every method may raise FlagsUnavailable, and what else changing a flag raises."""

    def __init__(self, flags: FlagChanges) -> None:
        """Changes are made through `flags`, as anybody's."""
        self._flags = flags

    async def check(self, name: str, definition: Definition) -> None:
        """Raise ExperimentInvalid for a flag on which that cannot be tried."""
        flag = await self._flag(definition.flag)
        content = _content(flag)
        metadata = content.get("metadata", {})
        running = _allocation(metadata)
        variants = content.get("variants", {})
        named = [("$.control", definition.control)]
        named += [(f"$.shares.{variant}", variant) for variant in definition.shares]
        wrong = [
            Mistake(path, f'"{variant}" is no variant of the flag')
            for path, variant in named
            if variant not in variants
        ]
        if running is not None and running.experiment != name:
            wrong.append(Mistake("$.flag", f'the experiment "{running.experiment}" runs on it'))
        if _RAMP in metadata:
            wrong.append(Mistake("$.flag", f"it has {_RAMP}: widen the experiment instead"))
        if metadata.get(_TURN) is not True:
            wrong.append(Mistake("$.flag", f"no turn asks it: it has no {_TURN}"))
        names = [metric.name for metric in definition.metrics("conversation")]
        if metadata.get(_UNIT) == "conversation" and any(one.startswith("event:") for one in names):
            wrong.append(Mistake("$", "no outside event is about a conversation, the flag's unit"))
        if wrong:
            raise ExperimentInvalid(wrong)

    async def begin(self, doing: Doing, experiment: Experiment) -> Begun:
        """Have the flag give the experiment's variants; what stands from a start that was cut off
        is kept."""
        await self.check(experiment.name, experiment.definition)
        flag = await self._flag(experiment.definition.flag)
        metadata = _content(flag).get("metadata", {})
        allocation = _allocation(metadata)
        version = flag.version
        if allocation is None:
            allocation = experiment.definition.allocation(experiment.name)
            version = await self.put(doing, experiment, allocation)
        return Begun(str(metadata.get(_UNIT, "user")), allocation, version)

    async def put(self, doing: Doing, experiment: Experiment, allocation: Allocation) -> int:
        """Write the allocation into the flag; return the version of the flag that has it."""
        flag = await self._flag(experiment.definition.flag)
        content = _content(flag)
        content["metadata"] = {
            **content.get("metadata", {}),
            ALLOCATION: write_allocation(allocation),
        }
        return await self._make(doing, flag, content)

    async def end(self, doing: Doing, experiment: Experiment, ships: str) -> None:
        """Take the allocation away; with `ships` everybody gets that variant from now on."""
        flag = await self._flag(experiment.definition.flag)
        content = _content(flag)
        if ships and ships not in content.get("variants", {}):
            raise ExperimentInvalid([Mistake("$.ships", f'"{ships}" is no variant of the flag')])
        metadata = dict(content.get("metadata", {}))
        running = _allocation(metadata)
        if running is None or running.experiment != experiment.name:
            return  # a stop that was cut off came so far
        del metadata[ALLOCATION]
        content["metadata"] = metadata
        if ships:
            content.pop("targeting", None)
            content["defaultVariant"] = ships
        await self._make(doing, flag, content)

    async def _flag(self, name: str) -> KeptFlag:
        try:
            flag = await self._flags.flag(name)
        except UnknownFlag as error:
            raise ExperimentInvalid([Mistake("$.flag", "there is no such flag")]) from error
        if not flag.definition:
            raise ExperimentInvalid([Mistake("$.flag", "it is archived")])
        return flag

    async def _make(self, doing: Doing, flag: KeptFlag, content: _Content) -> int:
        asked = Asked(
            author=doing.author,
            origin=EXPERIMENTS,
            why=doing.why,
            wanted={flag.name: msgspec.json.encode(content)},
            expected={flag.name: flag.version},
        )
        changed = await self._flags.make(asked)
        return changed.versions.get(flag.name, flag.version)


def _content(flag: KeptFlag) -> _Content:
    return msgspec.json.decode(flag.definition, type=dict[str, Any])


def _allocation(metadata: _Content) -> Allocation | None:
    text = metadata.get(ALLOCATION)
    return read_allocation(text) if isinstance(text, str) else None
