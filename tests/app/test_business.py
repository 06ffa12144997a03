"""What the business is told: people, signups, revenue and holds, counted by PostgreSQL."""

import re

import asyncpg

from axon.app.business import BusinessFigures
from axon.stores import Postgres
from axon.telemetry import render_metrics
from tests.journal.journals import TurnedClock

DAY_US = 86_400_000_000


def shown(name: str) -> dict[str, float]:
    """Return the series of a business metric by their labels' values."""
    page = render_metrics().decode()
    found = re.findall(rf"^axon_business_{name}{{(.*)}} (\S+)$", page, re.MULTILINE)
    return {" ".join(re.findall(r'"([^"]*)"', labels)): float(value) for labels, value in found}


async def use(database: str, day: int, org_id: str, users: range, currency: str) -> None:
    """Have each of them use a model on a day, as the projector counts it."""
    connection = await asyncpg.connect(database)
    try:
        for table, columns, rows in (
            ("usage", "user_id, credential_id,", "i, 'k',"),
            ("org_days", "", ""),
        ):
            source = f"generate_series({users.start}, {users.stop - 1})" if rows else "(SELECT 1)"
            cost = 1 if rows else len(users)
            await connection.execute(
                f"INSERT INTO metering.{table} ({columns} org_id, date, model, variant, currency,"
                " requests_count, input_tokens, cached_tokens, cache_write_tokens, output_tokens,"
                " reasoning_tokens, cost_nano, overage_nano)"
                f" SELECT {rows} $1, date '1970-01-01' + $2::int, 'm', '', $3, 1, 0, 0, 0, 0, 0,"
                f" {cost}, 0 FROM {source} AS s (i)",
                org_id, day, currency,
            )  # fmt: skip
    finally:
        await connection.close()


async def test_people_signups_revenue_and_holds_are_counted_by_window(
    database: str,
) -> None:
    clock = TurnedClock()
    today = clock.now_us() // DAY_US
    for org_id, back, users in (
        ("org_a", 0, range(1, 4)),
        ("org_a", 3, range(3, 6)),
        ("org_b", 20, range(1, 3)),
        ("org_b", 40, range(1, 100)),
    ):
        await use(database, today - back, org_id, users, "EUR" if org_id == "org_b" else "USD")
    connection = await asyncpg.connect(database)
    for place, back in enumerate((0, 5, 50)):
        await connection.execute(
            "INSERT INTO accounts.orgs VALUES ($1, $1, '', '', $2)",
            f"new_{place}", (today - back) * DAY_US,
        )  # fmt: skip
    for place, released in enumerate((0, 0, 7)):
        await connection.execute(
            "INSERT INTO audit.holds VALUES ($1, 'org_a', 1, $2, 'why', 1, $3)",
            f"hold_{place}", "conv" if place else "", released,
        )  # fmt: skip
    await connection.close()
    postgres = Postgres(database)
    await postgres.start()
    await BusinessFigures(postgres, clock).look()
    await postgres.stop()
    assert shown("active_users") == {"day": 3, "week": 5, "month": 7}
    assert shown("revenue_nano") == {
        "USD day": 3,
        "USD week": 6,
        "USD month": 6,
        "EUR day": 0,
        "EUR week": 0,
        "EUR month": 2,
    }
    organizations = {name: count for name, count in shown("signups").items() if "org" in name}
    assert organizations == {
        "organization day": 1, "organization week": 2, "organization month": 2,
    }  # fmt: skip
    assert shown("accounts")["organization"] == 3
    assert shown("legal_holds") == {"person": 1, "conversation": 1}
