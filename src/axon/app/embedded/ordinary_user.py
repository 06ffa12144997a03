"""PostgreSQL refuses to run as root: how root still runs it, with or without user namespaces."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from axon.base import AxonError

NOBODY = 65534
"""The user and group without rights of their own; every Linux has them."""

_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
"""Inside, root is called 1000; outside, the files stay root's."""

_DROPPED = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--no-new-privs",
    # Folders of root, the data folder among them, stay reachable for it.
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
)

_TRY_TIMEOUT_S = 10.0


class RootRefused(AxonError):
    """PostgreSQL refuses to run as root, and this machine offers no way around it: run axon as an
    ordinary user, or set AXON_DATABASE_URL to a PostgreSQL of your own.
    """


def prefix_for_root(death_signal: str) -> tuple[str, ...]:
    """Return what is put before a command so that it does not run as root; empty when we do not.

    Changing the user makes the kernel forget the death signal, so it is named again. Blocks for a
    moment the first time; raises RootRefused.
    """
    if os.geteuid() != 0:
        return ()
    return _NAMESPACE if _works(_NAMESPACE) else _drop(death_signal)


def own_for_root(folder: Path) -> None:
    """Give a folder and all in it to the user the command will run as."""
    if os.geteuid() == 0 and not _works(_NAMESPACE):
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, NOBODY, NOBODY)


def _drop(death_signal: str) -> tuple[str, ...]:
    prefix = (*_DROPPED, f"--pdeathsig={death_signal}")
    if not _works(prefix):
        raise RootRefused
    return prefix


@cache
def _works(prefix: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(
            (*prefix, "true"), capture_output=True, timeout=_TRY_TIMEOUT_S, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
