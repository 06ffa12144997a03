"""Runs every check at once, each within a bound."""

import asyncio

from axon.app.administration import DatabaseUnknown, database_address
from axon.app.doctor.checks import CHECKS, Check
from axon.app.doctor.finding import Examined, Finding, broken
from axon.app.embedded import EmbeddedValkey
from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.app.up import read_running

CHECK_TIMEOUT_S = 15.0
"""A frozen server must not freeze the doctor."""


async def examine(settings: Settings) -> list[Finding]:
    """Return what every check found, in the order of the report."""
    folder = DataFolder.of(settings)
    try:
        database_url = database_address(settings)
    except DatabaseUnknown:
        database_url = ""
    running = read_running(folder)
    embedded_valkey = EmbeddedValkey(folder.root).url() if running else ""
    examined = Examined(
        settings=settings,
        folder=folder,
        running=running,
        database_url=database_url,
        valkey_url=settings.valkey.url or embedded_valkey,
    )
    found = await asyncio.gather(*(_within_bounds(check, examined) for check in CHECKS))
    return [finding for findings in found for finding in findings]


async def _within_bounds(check: Check, examined: Examined) -> list[Finding]:
    try:
        return await asyncio.wait_for(check(examined), CHECK_TIMEOUT_S)
    except TimeoutError:
        part = check.__name__.removeprefix("check_")
        seen = f"no answer within {CHECK_TIMEOUT_S:.0f} s"
        return [broken(part, seen, "Something hangs: look at the logs in the data folder.")]
