"""This process's copy of the rules: follows PostgreSQL, and outlives it in a file."""

import asyncio
import os
import tempfile
from pathlib import Path

import msgspec

from axon.limits.errors import LimitsUnavailable
from axon.limits.rules import NO_SHARES, Defined, QueueShare, Rules
from axon.limits.store import read_defined
from axon.stores import Postgres
from axon.telemetry import log

_decoder = msgspec.json.Decoder(Defined)


class RulesReplica:
    """The rules as of the last poll that PostgreSQL answered."""

    def __init__(self, postgres: Postgres, snapshot: Path) -> None:
        """Nothing is known until `load` or `refresh`; several processes may share the file."""
        self._postgres = postgres
        self._snapshot = snapshot
        self._rules: Rules | None = None

    @property
    def rules(self) -> Rules:
        """Return the rules; raises LimitsUnavailable when nobody has told them yet."""
        if self._rules is None:
            raise LimitsUnavailable("the rules are not known yet")
        return self._rules

    def share(self, tier: str) -> QueueShare:
        """Return how the jobs of a tier wait; as all do while nobody has told the rules yet."""
        return self._rules.share(tier) if self._rules is not None else NO_SHARES

    async def load(self) -> None:
        """Take over the file, if there is one; its rules count until PostgreSQL says others."""
        try:
            content = await asyncio.to_thread(self._snapshot.read_bytes)
            self._rules = Rules(_decoder.decode(content))
        except FileNotFoundError:
            return  # a new folder: PostgreSQL tells the first rules
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            log.warning("limits.no-snapshot", f"No snapshot of the limits can be read: {error}")

    async def refresh(self) -> None:
        """Take over what changed; raises LimitsUnavailable."""
        known = 0 if self._rules is None else self._rules.defined.version
        defined = await read_defined(self._postgres, known)
        if defined is None:
            return
        self._rules = Rules(defined)
        try:
            await asyncio.to_thread(_replace, self._snapshot, msgspec.json.encode(defined))
        except OSError as error:  # costs a start without PostgreSQL, and nothing else
            log.warning("limits.snapshot-failed", f"The snapshot was not written: {error}")


def _replace(path: Path, content: bytes) -> None:
    """Replace the file, readable by its owner only; blocks."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp made it 0600
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
