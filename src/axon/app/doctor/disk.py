"""Checks of what lies in the data folder: its privacy, its space, its keyring."""

import asyncio
import shutil
import stat

from axon.app.doctor.finding import Examined, Finding, broken, ok, warning
from axon.app.key_roots import KeyRootNotSet, key_roots, region_of
from axon.app.keyring_backup import last_backup
from axon.base import GIB, SystemClock, SystemRandomness, utc_from_us
from axon.sealing import KeyContext, Keyring, KeyringRefused, SealingError

_ROOMY_BYTES = 2 * GIB
"""Less than this is no harm yet, and soon will be."""

_SECRET_BYTES = 32

_ROOT_ADVICE = "New organizations, and every restart, need it: see docs/keys.md."


async def check_folder(examined: Examined) -> list[Finding]:
    """Look at who may read the data folder."""
    root = examined.folder.root
    mode = stat.S_IMODE(root.stat().st_mode)
    if mode & 0o077:
        return [broken("data folder", f"{root} has mode {mode:o}", f"chmod 700 {root}")]
    return [ok("data folder", str(root))]


async def check_disk(examined: Examined) -> list[Finding]:
    """Look at the free space, which every accepted turn needs."""
    free = shutil.disk_usage(examined.folder.root).free
    journal = examined.settings.journal
    needed = journal.low_water_bytes + journal.reserve_bytes
    seen = f"{free / GIB:,.1f} GiB free"
    if free < needed:
        advice = "No new turn is accepted until there is space: free some, or move the data folder."
        return [broken("disk", seen, advice)]
    if free < _ROOMY_BYTES:
        advice = f"Turns are refused under {needed / GIB:,.2f} GiB: make room in time."
        return [warning("disk", seen, advice)]
    return [ok("disk", seen)]


async def check_keyring(examined: Examined) -> list[Finding]:
    """Look at whether the keyring can be read, and whether its loss could be survived."""
    path = examined.folder.keyring
    if not path.exists():
        advice = "`axon up` makes it. With data from before, restore it from its backup first."
        return [warning("keyring", "there is none yet", advice)]
    try:
        await asyncio.to_thread(Keyring.open, path, SystemRandomness())
    except KeyringRefused as error:
        return [broken("keyring", str(error), f"chmod 600 {path}, or restore it from its backup.")]
    root = await _check_root(examined)
    backup = await asyncio.to_thread(last_backup, examined.folder)
    if backup is None:
        advice = "Its loss makes every conversation unreadable: axon keyring backup FILE"
        return [warning("keyring", "not backed up", advice), *root]
    day = utc_from_us(backup.backed_up_us).date()
    return [ok("keyring", f"backed up on {day}"), *root]


async def _check_root(examined: Examined) -> list[Finding]:
    """Ask the root of the keys to wrap one, where it is on another machine."""
    clock, randomness = SystemClock(), SystemRandomness()
    try:
        keyring = await asyncio.to_thread(Keyring.open, examined.folder.keyring, randomness)
        roots, gate = await asyncio.to_thread(
            key_roots, examined.settings.keys, keyring, clock, randomness
        )
        if gate is None:
            return []
        root, place = roots.wrapping, KeyContext(region_of(examined.settings), "", "doctor")
        secret = randomness.bytes(_SECRET_BYTES)
        if await root.unwrap(await root.wrap(secret, place), place) != secret:
            return [broken("root of the keys", "it gives back another key", _ROOT_ADVICE)]
    except (SealingError, KeyRootNotSet) as error:
        return [broken("root of the keys", str(error), _ROOT_ADVICE)]
    return [ok("root of the keys", root.name)]
