"""The metering's tests run on real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from axon.base import SystemClock, SystemRandomness
from axon.metering import Prices, Usage
from axon.stores import Postgres


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def prices(postgres: Postgres) -> Prices:
    return Prices(postgres, SystemClock(), SystemRandomness())


@pytest.fixture
def usage(postgres: Postgres) -> Usage:
    return Usage(postgres)
