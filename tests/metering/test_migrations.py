"""Sums of an older version are those of its turns after the database was brought forward."""

import shutil
from pathlib import Path

import asyncpg

from axon.app.migrations import rooms_with_migrations
from axon.metering import ROLLUPS, PriceBook
from axon.stores import migrate
from tests.metering.scene import many, positioned, price, project, tables

OLDER = ("turns", "usage", "usage_quarters", "org_usage", "org_usage_quarters", "org_days")
"""Tables whose columns the fifth migration leaves as they were."""

LATER = ("region", "tier", "ours")
"""Columns that the sixth added."""


async def test_the_fifth_makes_its_sums_of_those_there_are(database: str, tmp_path: Path) -> None:
    await project(database, positioned(many(200, 4, PriceBook([price()]), limited=True)))
    wanted = await tables(database)
    folder = rooms_with_migrations()["metering"]
    for number in range(1, 5):
        (older,) = folder.glob(f"000{number}_*.sql")
        shutil.copy(older, tmp_path)
    connection = await asyncpg.connect(database)
    kept = {table: await connection.fetch(f"SELECT * FROM metering.{table}") for table in OLDER}
    await connection.execute("DROP SCHEMA metering CASCADE")
    await connection.execute("DELETE FROM axon_migrations WHERE room = 'metering'")
    assert len(await migrate(connection, "metering", tmp_path)) == 4
    for table, rows in kept.items():
        names = tuple(rows[0].keys())
        columns = [column for column in names if column not in LATER]
        records = [tuple(row[column] for column in columns) for row in rows]
        await connection.copy_records_to_table(
            table, schema_name="metering", columns=columns, records=records
        )
    (fifth,) = folder.glob("0005_*.sql")
    shutil.copy(fifth, tmp_path)
    assert await migrate(connection, "metering", tmp_path) == [fifth.name]
    await connection.close()
    found = await tables(database)
    assert {table: found[table] for table in ROLLUPS} == {table: wanted[table] for table in ROLLUPS}
