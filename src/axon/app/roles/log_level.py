"""Changing what is logged while a process runs: SIGUSR1 turns debug lines on, and off again."""

import asyncio
import signal

from axon.telemetry import log

LEVEL_SIGNALS = frozenset({signal.SIGUSR1})
"""What the supervisor holds for a process until it follows."""


def follow_level_signal() -> None:
    """Toggle at each SIGUSR1 from now on, and for one that was held; on the main thread's loop."""
    for number in LEVEL_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, _toggle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, LEVEL_SIGNALS)


def _toggle() -> None:
    level = log.toggle_debug()
    log.warning("log.level", "Another level is logged from now on.", axon__log__level=level)
