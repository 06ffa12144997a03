"""What a process without an HTTP door of its own tells the serving processes: a file, each second.

The projector and the workers write it; `/status`, `/metrics` and `axon doctor` read it.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from axon.base import MICROS_PER_SECOND, Clock
from axon.stores import Health
from axon.telemetry import log, render_metrics

TELL_EVERY_S = 1.0
"""How old a state is at most while its process is well."""

SILENT_AFTER_S = 10.0
"""A process that told nothing for so long is frozen or dead."""

FORGOTTEN_AFTER_S = 3600.0
"""How long the file of a process that is gone is shown; its successors write their own."""

FILES_MAX = 128
"""Twice the worker processes of a node; what is beyond is litter of many crashes."""

_TOLD_AT_ZERO = (
    *("axon_dependency_up", "axon_business_"),
    *("axon_experiment_units_moved", "axon_projection_parked_records"),
)
"""Metrics with series in those processes alone that know them, whose 0 says something."""

_BYTES_MAX = 4 << 20
"""A page of metrics has some tens of kilobytes."""


class ToldState(msgspec.Struct, frozen=True, kw_only=True):
    """How one process was at an instant."""

    role: str
    pid: int
    at_us: int
    dependencies: dict[str, Health]
    metrics: str = ""
    """Its page, as Prometheus reads it."""

    def silent_for_s(self, now_us: int) -> float:
        """Return how many seconds ago this was; a clock that was set back counts as no time."""
        return max(0.0, (now_us - self.at_us) / MICROS_PER_SECOND)


class ToldStates:
    """The folder of these files."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Nothing is read or written yet."""
        self._folder = folder
        self._clock = clock

    async def keep_telling(
        self, role: str, dependencies: Callable[[], Mapping[str, Health]]
    ) -> None:
        """Write this process's file each second until cancelled, then take it away.

        A disk that refuses costs the news and nothing else.
        """
        path = self._folder / f"{role}-{os.getpid()}.json"
        told = True
        try:
            while True:
                state = ToldState(
                    role=role,
                    pid=os.getpid(),
                    at_us=self._clock.now_us(),
                    dependencies=dict(dependencies()),
                    metrics=_counted(render_metrics().decode()),
                )
                try:
                    await asyncio.to_thread(_write, path, state)
                    told = True
                except OSError as error:
                    if told:
                        message = "This process cannot say how it is."
                        log.warning("state.untold", message, error__message=str(error))
                    told = False
                await asyncio.sleep(TELL_EVERY_S)
        finally:
            path.unlink(missing_ok=True)

    def read(self) -> list[ToldState]:
        """Return the last word of every process of a role, the newest of each pid; blocks.

        Files that nobody has touched for FORGOTTEN_AFTER_S are removed, and so is the word of a
        dead process as soon as a living one of its role has spoken after it.
        """
        found: list[tuple[ToldState, Path]] = []
        for path in sorted(self._folder.glob("*-*.json"))[:FILES_MAX]:
            try:
                if path.stat().st_size <= _BYTES_MAX:
                    found.append((msgspec.json.decode(path.read_bytes(), type=ToldState), path))
            except (OSError, msgspec.DecodeError):
                continue  # it was just replaced or removed, or is no file of ours
        now_us = self._clock.now_us()
        fresh = {one.role for one, _ in found if one.silent_for_s(now_us) < SILENT_AFTER_S}
        living: list[ToldState] = []
        for one, path in found:
            silent_s = one.silent_for_s(now_us)
            gone = silent_s >= SILENT_AFTER_S and not Path(f"/proc/{one.pid}").exists()
            if silent_s >= FORGOTTEN_AFTER_S or (gone and one.role in fresh):
                path.unlink(missing_ok=True)
            else:
                living.append(one)
        return living


def _counted(page: str) -> str:
    """Return the page without what is 0 throughout.

    Every module of Axon is loaded in every process, with its metrics: a projector would say that
    no turn is running.
    """
    kept: list[str] = []
    family: list[str] = []
    for line in [*page.splitlines(), "# HELP"]:
        if line.startswith("# HELP"):
            samples = [one for one in family if not one.startswith("#")]
            if any(_says(one) for one in samples):
                kept += family
            family = []
        family.append(line)
    return "".join(f"{line}\n" for line in kept)


def _says(sample: str) -> bool:
    return sample.startswith(_TOLD_AT_ZERO) or float(sample.rpartition(" ")[2]) != 0


def _write(path: Path, state: ToldState) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(msgspec.json.encode(state))
    unfinished.replace(path)
