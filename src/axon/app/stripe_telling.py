"""Has Stripe told what organizations' hours cost and their invoices: the scheduler's part."""

import asyncio

from axon.app.settings import StripeSettings
from axon.base import Clock
from axon.billing import (
    StripeApi,
    StripeBills,
    StripeCrediting,
    StripeInvoicing,
    StripeSync,
    Terms,
)
from axon.stores import Postgres
from axon.telemetry import log


def stripe_api(settings: StripeSettings) -> StripeApi:
    """Return the account; blocks while its SDK is loaded. Raises what `StripeApi` raises."""
    return StripeApi(settings.key, settings.base_url)


def stripe_bills(settings: StripeSettings, account: StripeApi) -> StripeBills:
    """Return the account's invoices."""
    return StripeBills(account, Terms(settings.collection, settings.days_until_due))


class StripeTelling:
    """Rounds of telling Stripe; the first one loads the SDK."""

    def __init__(self, settings: StripeSettings, postgres: Postgres, clock: Clock) -> None:
        """Nothing is loaded, and Stripe is not asked."""
        self._settings = settings
        self._postgres = postgres
        self._clock = clock
        self._sync: StripeSync | None = None
        self._bills: StripeBills | None = None

    async def tell(self) -> None:
        """Tell all that Stripe's meters lack; raises PostgresAway and what `StripeApi` raises."""
        if self._sync is None:
            account = await asyncio.to_thread(stripe_api, self._settings)
            self._sync = StripeSync(self._postgres, self._clock, account)
        told = await self._sync.run_round()
        while told.due and told.sent:
            told = await self._sync.run_round()
        if told.rejected:
            log.warning("stripe.rejected", f"Stripe has rejected {told.rejected} hours' costs.")

    async def invoice(self) -> None:
        """Have Stripe ask for what was invoiced less what was credited; raises as `tell` does."""
        if self._bills is None:
            account = await asyncio.to_thread(stripe_api, self._settings)
            self._bills = stripe_bills(self._settings, account)
        invoicing = StripeInvoicing(self._postgres, self._clock, self._bills)
        told = await invoicing.run_round()
        refused = told.refused
        while told.due and (told.made or told.voided or told.refused):
            told = await invoicing.run_round()
            refused += told.refused
        refused += await StripeCrediting(self._postgres, self._clock, self._bills).run_round()
        if refused:
            log.warning("stripe.refused", f"Stripe has refused {refused} invoices or credit notes.")
