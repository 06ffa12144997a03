"""A start that has turns to end waits for the root of their keys, for a while."""

import asyncio

from axon.base import Clock
from axon.sealing import KeyRootUnavailable, KeyStore, SealingError, key_id_of
from axon.telemetry import log
from axon.turns import OpenTurn

WITHIN_S = 30.0
"""How long; then they end without what they had said, which cannot be opened."""

_EVERY_S = 0.5


async def when_openable(keys: KeyStore, clock: Clock, left_open: list[OpenTurn]) -> list[OpenTurn]:
    """Return the turns once their keys can be had, or it took too long.

    What they had said is only kept by who can open it.
    """
    until_s = clock.monotonic() + WITHIN_S
    for left in left_open:
        while True:
            try:
                await keys.by_id(key_id_of(left.accepted.request))
            except KeyRootUnavailable as error:
                if clock.monotonic() >= until_s:
                    log.warning("keys.root-away", "Turns end without what they had said.",
                                error__message=str(error))  # fmt: skip
                    return left_open
                await asyncio.sleep(_EVERY_S)
            except SealingError:
                break  # it is erased or broken: nobody gets it
            else:
                break
    return left_open
