import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from axon.stores import MigrationChanged, MigrationMisnamed, migrate


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "0002_second.sql").write_text("ALTER TABLE first ADD COLUMN more int;")
    (tmp_path / "0001_first.sql").write_text(
        "CREATE TABLE first (id int);\nINSERT INTO first VALUES (1);"
    )
    (tmp_path / "README.md").write_text("not a migration")
    return tmp_path


async def test_in_order_and_once(connection: asyncpg.Connection, directory: Path) -> None:
    names = ["0001_first.sql", "0002_second.sql"]
    assert await migrate(connection, "room", directory) == names
    assert await migrate(connection, "room", directory) == []
    (directory / "0003_third.sql").write_text("DROP TABLE first;")
    assert await migrate(connection, "room", directory) == ["0003_third.sql"]


async def test_several_processes_at_once(database: str, directory: Path) -> None:
    async def once() -> list[str]:
        connection = await asyncpg.connect(database)
        try:
            return await migrate(connection, "room", directory)
        finally:
            await connection.close()

    done = await asyncio.gather(*(once() for _ in range(5)))
    assert sorted(name for names in done for name in names) == ["0001_first.sql", "0002_second.sql"]


async def test_a_failing_migration_leaves_nothing(
    connection: asyncpg.Connection, directory: Path
) -> None:
    broken = directory / "0002_second.sql"
    sound = broken.read_text()
    broken.write_text("CREATE TABLE half (id int); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, "room", directory)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    broken.write_text(sound)
    assert await migrate(connection, "room", directory) == ["0002_second.sql"]


async def test_a_changed_migration_is_refused(
    connection: asyncpg.Connection, directory: Path
) -> None:
    await migrate(connection, "room", directory)
    (directory / "0001_first.sql").write_text("CREATE TABLE first (id bigint);")
    with pytest.raises(MigrationChanged, match=r"room/0001_first\.sql"):
        await migrate(connection, "room", directory)


@pytest.mark.parametrize("name", ["1_short.sql", "0001_again.sql", "0003-dash.sql"])
async def test_a_bad_name_is_refused(
    connection: asyncpg.Connection, directory: Path, name: str
) -> None:
    (directory / name).write_text("SELECT 1;")
    with pytest.raises(MigrationMisnamed, match=name[:4]):
        await migrate(connection, "room", directory)
