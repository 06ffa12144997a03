"""Closes a month and dies on the way: `python -m tests.billing.dying URL MONTH PLACE`."""

import asyncio
import os
import signal
import sys

from axon.base import SystemRandomness
from axon.billing import Billing, close_store
from axon.stores import Postgres
from tests.billing.scene import SetClock


async def close(url: str, month: str, place: str) -> None:
    """Die before the organization with this number, or within its transaction ("3.5")."""
    number, _, within = place.partition(".")

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def progress(done: int, total: int, name: str) -> None:
        if done == int(number):
            if not within:
                die()
            close_store.issue = die  # type: ignore[assignment]

    postgres = Postgres(url)
    await postgres.start()
    billing = Billing(postgres, SetClock("2026-12-15"), SystemRandomness())
    await billing.close(month, progress=progress)


if __name__ == "__main__":
    asyncio.run(close(*sys.argv[1:]))
