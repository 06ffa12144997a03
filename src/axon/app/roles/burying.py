"""Follows the erasures of other nodes: their people's keys are destroyed on this node too."""

import asyncio

from axon.base import MICROS_PER_SECOND, Clock
from axon.sealing import KeyStore, SealingError, read_erasures
from axon.stores import Postgres, PostgresAway
from axon.telemetry import log

LOOK_EVERY_S = 2.0
"""How long another node can still read what one has erased."""

LOOKED_BACK_US = 86_400 * MICROS_PER_SECOND
"""How far each look but the first goes back: an erasure is in PostgreSQL with its own commit."""

_TIMEOUT_S = 10.0


class Burying:
    """Part of the projector's process, which is there once per node."""

    def __init__(self, postgres: Postgres, keys: KeyStore, clock: Clock) -> None:
        """Nothing is known yet, so that the first look is at all erasures."""
        self._postgres = postgres
        self._keys = keys
        self._clock = clock
        self._looked_us = 0

    async def keep_burying(self) -> None:
        """Look for erasures until cancelled."""
        while True:
            try:
                await self.bury()
            except PostgresAway:
                pass  # who erases waits for PostgreSQL too
            except SealingError as error:
                log.error("erasures.failed", "Keys could not be destroyed.",
                          error__message=str(error))  # fmt: skip
            await asyncio.sleep(LOOK_EVERY_S)

    async def bury(self) -> int:
        """Destroy what was erased elsewhere; return how many keys there were.

        Raises PostgresAway, KeyStoreFailed.
        """
        now_us = self._clock.now_us()
        since_us = max(0, self._looked_us - LOOKED_BACK_US)
        async with self._postgres.connection(_TIMEOUT_S) as connection:
            erasures = await read_erasures(connection, since_us)
        erased = await self._keys.bury(erasures)
        self._looked_us = now_us
        if erased:
            log.info("erasures.buried", "Keys erased by another node are gone here.",
                     axon__keys=erased)  # fmt: skip
        return erased
