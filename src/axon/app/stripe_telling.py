"""Has Stripe told what organizations' hours cost: the scheduler's part of `billing`."""

import asyncio

from axon.app.settings import StripeSettings
from axon.base import Clock
from axon.billing import StripeApi, StripeSync
from axon.stores import Postgres
from axon.telemetry import log


class StripeTelling:
    """The rounds of a `StripeSync`, whose SDK is loaded with the first one."""

    def __init__(self, settings: StripeSettings, postgres: Postgres, clock: Clock) -> None:
        """Nothing is loaded, and Stripe is not asked."""
        self._settings = settings
        self._postgres = postgres
        self._clock = clock
        self._sync: StripeSync | None = None

    async def tell(self) -> None:
        """Tell all that Stripe lacks; raises PostgresAway and what `StripeApi` raises."""
        if self._sync is None:
            settings = self._settings
            account = await asyncio.to_thread(StripeApi, settings.key, settings.base_url)
            self._sync = StripeSync(self._postgres, self._clock, account)
        told = await self._sync.run_round()
        while told.due and told.sent:
            told = await self._sync.run_round()
        if told.rejected:
            log.warning("stripe.rejected", f"Stripe has rejected {told.rejected} hours' costs.")
