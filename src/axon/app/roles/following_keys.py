"""Follows what other nodes do with keys: this node has the same ones, wrapped the same way."""

import asyncio

from axon.base import MICROS_PER_SECOND, Clock
from axon.sealing import (
    KeyRootUnavailable,
    KeyStore,
    Renewal,
    SealingError,
    WrappedKek,
    read_keks,
    read_org_erasures,
    read_renewals,
    rewrap_there,
)
from axon.stores import Postgres, PostgresAway
from axon.telemetry import log

LOOK_EVERY_S = 2.0
"""How long another node can still use what one has rotated or destroyed."""

LOOKED_BACK_US = 86_400 * MICROS_PER_SECOND
"""How far each look but the first goes back: what is there comes with a commit of its own, under
the clock of another node."""

REWRAPPED_AT_ONCE = 256
"""Keys of people in one transaction; between two the others of this node may write."""

ROUNDS = 3
"""Looks at which keys are wrapped anew after a newer one of their organization: the processes of a
node use the older one until they have looked, and send PostgreSQL what they make with it."""

_TIMEOUT_S = 10.0


class FollowingKeys:
    """Part of the projector's process, which is there once per node."""

    def __init__(self, postgres: Postgres, keys: KeyStore, clock: Clock) -> None:
        """Nothing is known yet, so that the first look is at everything."""
        self._postgres = postgres
        self._keys = keys
        self._clock = clock
        self._looked_us = 0
        self._keks: set[WrappedKek] = set()
        self._renewals: set[Renewal] = set()
        self._newest: dict[str, str] = {}
        self._rounds = ROUNDS
        self._old_keyring = False

    async def keep_following(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.follow()
            except (PostgresAway, KeyRootUnavailable):
                pass  # they say so themselves; the next look goes on
            except SealingError as error:
                log.error("keys.not-followed", "Keys could not be followed.",
                          error__message=str(error))  # fmt: skip
            await asyncio.sleep(LOOK_EVERY_S)

    async def follow(self) -> int:
        """Do what was done elsewhere; return how many data keys were wrapped anew.

        Raises PostgresAway, KeyStoreFailed, KeyRootUnavailable.
        """
        now_us = self._clock.now_us()
        since_us = max(0, self._looked_us - LOOKED_BACK_US)
        async with self._postgres.connection(_TIMEOUT_S) as connection:
            erasures = await read_org_erasures(connection, since_us)
            keks = await read_keks(connection, since_us)
            renewals = await read_renewals(connection, since_us)
        destroyed = await self._keys.bury_orgs(erasures)
        if destroyed:
            log.info("keys.destroyed", "An organization's keys are gone here too.",
                     axon__keys=destroyed)  # fmt: skip
        known = [kek for kek in keks if self._keys.roots.knows(kek.by_root)]
        await self._keys.keep([kek for kek in known if kek not in self._keks])
        await self._keys.renew([one for one in renewals if one not in self._renewals])
        self._keks, self._renewals = set(known), set(renewals)
        self._notice_old_keyring(len(keks) - len(known))
        if len(known) == len(keks):
            self._looked_us = now_us
        newest = await self._keys.keks.newest()
        if newest != self._newest:
            self._newest, self._rounds = newest, ROUNDS
        return await self._rewrap() if self._rounds else 0

    def _notice_old_keyring(self, unknown: int) -> None:
        """Say once that this node's keyring is older than another's; it goes on with what it has.

        What it could not open would else take the place of what it can.
        """
        if unknown and not self._old_keyring:
            log.error("keyring.old", "Another node's keyring has keys that this one's lacks: copy"
                      " it here.", axon__keks=unknown)  # fmt: skip
        self._old_keyring = bool(unknown)

    async def _rewrap(self) -> int:
        """Wrap this node's keys by the newest; in the last round what came late elsewhere too."""
        done, after = 0, b""
        while True:
            count, after = await self._keys.rewrap_some(after, REWRAPPED_AT_ONCE)
            if not count:
                break
            done += count
        if self._rounds == 1:
            async with self._postgres.connection(_TIMEOUT_S) as connection:
                await rewrap_there(self._keys, connection, "", _untold)
        self._rounds -= 1
        if done:
            log.info("keys.rewrapped", "Keys of this node are wrapped by newer ones.",
                     axon__keys=done)  # fmt: skip
        return done


def _untold(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""
