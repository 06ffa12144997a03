"""The billing's tests run on real PostgreSQL, at a time of their own."""

from collections.abc import AsyncIterator

import pytest

from axon.base import SystemClock, SystemRandomness
from axon.billing import Billing, Invoices
from axon.metering import Prices
from axon.stores import Postgres
from tests.billing.scene import SetClock


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def clock() -> SetClock:
    return SetClock("2026-12-15T12:00")


@pytest.fixture
def billing(postgres: Postgres, clock: SetClock) -> Billing:
    return Billing(postgres, clock, SystemRandomness())


@pytest.fixture
def invoices(postgres: Postgres) -> Invoices:
    return Invoices(postgres)


@pytest.fixture
def prices(postgres: Postgres) -> Prices:
    return Prices(postgres, SystemClock(), SystemRandomness())
