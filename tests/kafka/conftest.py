"""A small real broker in this process, and what is read from it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from axon.stores import Postgres
from tests.kafka.broker import Broker


@pytest.fixture
def broker() -> Iterator[Broker]:
    started = Broker()
    yield started
    started.close()


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()
