"""Switching a flag off because a guardrail wants it: in a process that may change flags."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from axon.experiments.errors import ExperimentsUnavailable
from axon.experiments.store import Kill, connected, end_kill, read_kills
from axon.flags import (
    ALLOCATION,
    EXPERIMENTS,
    KILLED,
    Asked,
    FlagChanges,
    FlagsError,
    UnknownFlag,
    read_allocation,
)
from axon.journal import JournalError
from axon.stores import Postgres
from axon.telemetry import counter, log

LOOK_EVERY_S = 1.0
"""Adds to the time between a calculation and the end of what it found."""

OVER = -1
"""The experiment was over, or its flag gone, before anything was done."""

_kills = counter("axon_experiment_kills_total", "Flags that guardrails switched off.")


class Killing:
    """Any process may do it; two that do it at once change the flag once."""

    def __init__(self, postgres: Postgres, flags: FlagChanges) -> None:
        """`flags` is the way by which everybody changes flags."""
        self._postgres = postgres
        self._flags = flags

    async def keep(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            with suppress(ExperimentsUnavailable):  # PostgreSQL's health says so already
                await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Switch off what is asked for now."""
        async with connected(self._postgres) as connection:
            wanted = await read_kills(connection)
        for kill in wanted:
            try:
                number = await self._kill(kill)
            except (FlagsError, JournalError) as error:  # it is tried again
                log.warning(
                    "experiments.kill-failed",
                    f"The flag {kill.flag} could not be switched off: {error}",
                    axon__experiment=kill.name,
                )
                continue
            async with connected(self._postgres) as connection:
                await end_kill(connection, kill.name, number)

    async def _kill(self, kill: Kill) -> int:
        """Return the number of the change, OVER when there is nothing to switch off."""
        try:
            flag = await self._flags.flag(kill.flag)
        except UnknownFlag:
            return OVER
        content: dict[str, Any] = msgspec.json.decode(flag.definition or b"{}")
        metadata = content.get("metadata", {})
        text = metadata.get(ALLOCATION)
        if text is None or read_allocation(text).experiment != kill.name:
            return OVER
        content["metadata"] = {**metadata, KILLED: True}
        asked = Asked(
            origin=EXPERIMENTS,
            why=kill.why,
            wanted={kill.flag: msgspec.json.encode(content)},
            expected={kill.flag: flag.version},
        )
        changed = await self._flags.make(asked)
        if changed.versions:
            _kills.inc()
            log.warning(
                "experiments.killed",
                f"The flag {kill.flag} is off for everybody: {kill.why}",
                axon__experiment=kill.name,
                axon__flag=kill.flag,
                axon__experiment__metric=kill.metric,
            )
        return changed.number
