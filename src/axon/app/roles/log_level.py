"""Changing what is logged while a process runs: SIGUSR1 turns debug lines on, and off again."""

import asyncio
import signal

from axon.telemetry import log


def follow_level_signal() -> None:
    """Toggle at each SIGUSR1 from now on; to be called on the running loop."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _toggle)


def _toggle() -> None:
    level = log.toggle_debug()
    log.warning("log.level", "Another level is logged from now on.", axon__log__level=level)
