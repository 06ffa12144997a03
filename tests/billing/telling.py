"""Tells Stripe of invoices, or dies on the way: `python -m tests.billing.telling DB STRIPE`."""

import asyncio
import sys

from axon.app.settings import StripeSettings
from axon.app.stripe_telling import StripeTelling
from axon.stores import Postgres
from tests.billing.fake_stripe import KEY
from tests.billing.scene import SetClock


async def tell(database: str, url: str) -> None:
    """Do one run of the scheduler's task."""
    postgres = Postgres(database)
    await postgres.start()
    settings = StripeSettings(key=KEY, base_url=url)
    await StripeTelling(settings, postgres, SetClock("2026-12-15")).invoice()
    await postgres.stop()


if __name__ == "__main__":
    asyncio.run(tell(*sys.argv[1:]))
