"""Checks of the prices: that every model of the settings has one, that none ends unseen."""

import asyncpg

from axon.app.doctor.finding import Examined, Finding, ok, warning
from axon.base import SystemClock, SystemRandomness
from axon.metering import Prices, check_prices
from axon.stores import Postgres, PostgresAway, PostgresOptions

_FAULTS_MAX = 5
"""Named at once; the command names all."""


async def check_model_prices(examined: Examined) -> list[Finding]:
    """Name models whose turns cost nothing because nobody set a price."""
    if not examined.database_url or not examined.settings.models:
        return []
    clock = SystemClock()
    postgres = Postgres(examined.database_url, PostgresOptions(connections_max=1), clock)
    await postgres.start()
    try:
        found = await Prices(postgres, clock, SystemRandomness()).list_all()
    except (PostgresAway, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return []  # the check of PostgreSQL says why
    finally:
        await postgres.stop()
    faults = check_prices(found, list(examined.settings.models), clock.now_us())
    if not faults:
        return [ok("prices", f"{len(found)}, every model has one")]
    named = "; ".join(f"{fault.model}: {fault.finding}" for fault in faults[:_FAULTS_MAX])
    return [warning("prices", named, "`axon prices check` names all, `axon prices set` sets one.")]
