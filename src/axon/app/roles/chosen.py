"""Runs the roles a process was asked for: those that share a process together, others beside it."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import msgspec

from axon.app.bound_stores import bind_folder, bound_valkey
from axon.app.embedded import Program
from axon.app.embedded.process import send
from axon.app.folders import DataFolder
from axon.app.roles.log_level import LEVEL_SIGNALS
from axon.app.roles.tls import certificate_of
from axon.app.settings import Settings, WorkersSettings
from axon.app.supervisor import Change, Supervisor
from axon.base import AxonError, SystemClock
from axon.telemetry import log

_SERVING = frozenset({"gateway", "worker"})
_PROJECTING = frozenset({"projector"})
_SCHEDULING = frozenset({"scheduler"})

ROLES = ("gateway", "worker", "projector", "scheduler")

_STOP_MARGIN_S = 10.0


class UnknownRole(AxonError):
    """There is no such role."""


def run_roles(roles: frozenset[str], settings: Settings) -> int:
    """Run the roles until SIGTERM or SIGINT and return the exit code; raises UnknownRole.

    Raises RegionDiffers when the data folder is another region's, and CertificateUnusable. Serving,
    projecting and scheduling get a process each: a batch never delays a token, and what talks to
    outside services delays neither.
    """
    if roles - set(ROLES) or not roles:
        raise UnknownRole(", ".join(sorted(roles - set(ROLES))))
    bind_folder(DataFolder.of(settings), settings.residency.region)
    settings = bound_valkey(settings)
    if "gateway" in roles:
        certificate_of(settings.http)  # now, and not in a child that is started again and again
    groups = [roles & group for group in (_PROJECTING, _SERVING, _SCHEDULING) if roles & group]
    if len(groups) > 1:
        return asyncio.run(_run_beside_each_other(groups, settings))
    if roles & _SCHEDULING:
        return _run("scheduler", settings)
    if roles & _PROJECTING:
        return _run("projector", settings)
    if "gateway" not in roles:
        return _run("worker", settings)
    return _run("serving", _with_workers(settings, elsewhere="worker" not in roles))


def _run(module: str, settings: Settings) -> int:
    """Run one of the modules beside this one; the others are not even imported."""
    code: int = import_module(f"axon.app.roles.{module}").run(settings)
    return code


def _with_workers(settings: Settings, elsewhere: bool) -> Settings:
    """Return the settings for a gateway whose workers are other processes, or not.

    The roles say it; the number only says how many of them `axon up` starts.
    """
    processes = max(1, settings.workers.processes) if elsewhere else 0
    return msgspec.structs.replace(settings, workers=WorkersSettings(processes=processes))


async def _run_beside_each_other(groups: Sequence[frozenset[str]], settings: Settings) -> int:
    """Run each group as a child; they inherit the settings through the environment."""
    supervisor = Supervisor(SystemClock(), _log_change)
    told_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    if settings.http.tls_cert:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _pass_on_hangup, supervisor)
    for roles in groups:
        supervisor.start(
            Program(
                role=",".join(sorted(roles)),
                command=serve_command(",".join(sorted(roles))),
                held=LEVEL_SIGNALS,
                log_path=None,
                stop_within_s=settings.http.drain_s + _STOP_MARGIN_S,
            )
        )
    await told_to_stop.wait()
    await supervisor.stop()
    return 0


def _pass_on_hangup(supervisor: Supervisor) -> None:
    """Have the serving process read its certificate again."""
    for roles, pids in supervisor.pids.items():
        for pid in pids if "gateway" in roles else ():
            send(pid, signal.SIGHUP)


def serve_command(roles: str) -> tuple[str, ...]:
    """Return the command that runs the roles in a process of their own."""
    # -P: a file called click.py in the user's folder is not to be imported.
    return (sys.executable, "-P", "-m", "axon.app.cli", "serve", "--role", roles)


def _log_change(change: Change) -> None:
    log.info(
        f"process-{change.what}",
        f"the process for {change.role} {change.what}",
        process__pid=change.pid,
        process__exit_code=change.exit_code,
    )
