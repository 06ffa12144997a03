"""Alerts on a real PostgreSQL, with a real receiver behind real TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.alerts import AdminParts, AlertsAdmin
from axon.base import SystemRandomness
from axon.sealing import Keyring
from axon.stores import Postgres
from tests.alerts.receiver import LOOPBACK, Receiver
from tests.journal.journals import TurnedClock


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def admin(postgres: Postgres, keyring: Keyring, clock: TurnedClock) -> AlertsAdmin:
    return AlertsAdmin(
        AdminParts(
            postgres=postgres,
            keyring=keyring,
            clock=clock,
            randomness=SystemRandomness(),
            allowed=LOOPBACK,
        )
    )


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    started = await Receiver.started(tmp_path)
    yield started
    await started.stop()
