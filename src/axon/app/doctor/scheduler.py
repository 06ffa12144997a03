"""Check of the scheduler: that it runs, and that its tasks get through."""

import asyncio

from axon.app.doctor.finding import Examined, Finding, broken, ok, warning
from axon.app.roles.told_state import SILENT_AFTER_S, ToldStates
from axon.base import SystemClock

_TASK = "task "


async def check_scheduler(examined: Examined) -> list[Finding]:
    """Read what the scheduler last said of itself."""
    if examined.running is None:
        return []  # what runs elsewhere is not seen from here
    clock = SystemClock()
    told = await asyncio.to_thread(ToldStates(examined.folder.told_states, clock).read)
    now_us = clock.now_us()
    living = [
        one for one in told if one.role == "scheduler" and one.silent_for_s(now_us) < SILENT_AFTER_S
    ]
    log_path = examined.folder.logs / "scheduler.log"
    if not living and not examined.settings.scheduler.here:
        return [ok("scheduler", "none on this node, as `scheduler.here` says")]
    if not living:
        advice = f"Turns do not need it; what it does is late. See {log_path}."
        return [broken("scheduler", "it says nothing", advice)]
    tasks = {
        name.removeprefix(_TASK): health
        for one in living
        for name, health in one.dependencies.items()
        if name.startswith(_TASK)
    }
    failing = [f"{name}: {health.reason}" for name, health in tasks.items() if not health.up]
    if failing:
        advice = f"It is tried again by itself. See {log_path}."
        return [warning("scheduler", "; ".join(failing), advice)]
    return [ok("scheduler", ", ".join(sorted(tasks)) or "nothing to do")]
