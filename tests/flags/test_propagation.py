"""A change reaches every process, whatever is away; a process starts with what was known last."""

import asyncio
from pathlib import Path

import pytest

from axon.app.embedded import EmbeddedServer
from axon.flags import FlagsUnavailable
from tests.flags.flags_scene import NEVER_MS, FlagsNode, flag


async def test_a_change_is_heard_of_over_valkey(node: FlagsNode) -> None:
    one, other = await node.process("a", NEVER_MS), await node.process("b", NEVER_MS)
    for variant in ("on", "off", "on"):
        await one.change(tone=flag(variant))
        await other.until(lambda wanted=variant: other.variant() == wanted)  # type: ignore[misc]
    await one.close()
    await other.close()


@pytest.mark.failure("valkey", "down")
async def test_without_valkey_a_change_is_found_by_asking(
    node: FlagsNode, valkey_server: EmbeddedServer
) -> None:
    one, other = await node.process("a"), await node.process("b")
    await one.change(tone=flag("on"))
    valkey_server.kill()
    await one.change(tone=flag("off"))
    await other.until(lambda: other.variant() == "off")
    valkey_server.ensure()
    await one.close()
    await other.close()


@pytest.mark.failure("valkey", "frozen")
async def test_a_frozen_valkey_holds_up_no_change(
    node: FlagsNode, valkey_server: EmbeddedServer
) -> None:
    one, other = await node.process("a"), await node.process("b")
    valkey_server.freeze()
    try:
        await one.change(tone=flag("on"))
        assert one.variant() == "on"
        await other.until(lambda: other.variant() == "on")
    finally:
        valkey_server.thaw()
    await one.close()
    await other.close()


@pytest.mark.failure("valkey", "wiped")
async def test_a_wiped_valkey_costs_no_change(
    node: FlagsNode, valkey_server: EmbeddedServer
) -> None:
    one = await node.process("a", NEVER_MS)
    other = await node.process("b", NEVER_MS)
    await one.change(tone=flag("on"))
    await other.until(lambda: other.variant() == "on")
    await one.valkey.call("FLUSHALL")
    await one.change(tone=flag("off"))
    await other.until(lambda: other.variant() == "off")
    await one.close()
    await other.close()


@pytest.mark.failure("postgresql", "at-start")
async def test_a_process_starts_with_what_was_known_last(
    node: FlagsNode, postgres_server: EmbeddedServer, valkey_server: EmbeddedServer
) -> None:
    process = await node.process()
    await process.change(tone=flag("on"), gone=flag("on"))
    await process.change(gone=b"")
    await process.close()
    snapshot = node.data / "flags.json"
    assert snapshot.stat().st_mode & 0o777 == 0o600
    postgres_server.kill()
    valkey_server.kill()
    try:
        again = await node.process()
        assert again.variant() == "on"
        assert again.variant("gone") is None
        assert again.flags.version_of("tone") == 1
        with pytest.raises(FlagsUnavailable):
            await again.change(tone=flag("off"))
        assert again.variant() == "on"
        assert len(again.records()) == 2  # nothing was kept of what nobody was told
    finally:
        postgres_server.ensure()
        valkey_server.ensure()
    await again.until(lambda: again.postgres.available)
    await again.change(tone=flag("off"))
    assert again.variant() == "off"
    await again.close()


@pytest.mark.failure("snapshot", "corrupt")
async def test_without_a_snapshot_that_can_be_read_flags_are_off_until_postgresql_tells(
    node: FlagsNode, postgres_server: EmbeddedServer
) -> None:
    process = await node.process()
    await process.change(tone=flag("on"))
    await process.close()
    snapshot = node.data / "flags.json"
    for content in (snapshot.read_bytes()[:-7], b"", b"[" * 100_000, b'{"format": 2}'):
        snapshot.write_bytes(content)
        postgres_server.kill()
        again = await node.process()
        assert again.variant() is None
        assert again.flags.number == 0
        postgres_server.ensure()
        await again.until(lambda one=again: one.variant() == "on")  # type: ignore[misc]
        while snapshot.read_bytes() == content:  # and it is written anew
            await asyncio.sleep(0.005)
        await again.close()


@pytest.mark.failure("postgresql", "wiped")
async def test_tables_that_were_emptied_switch_nothing_off(node: FlagsNode) -> None:
    process = await node.process()
    await process.change(tone=flag("on"))
    async with process.postgres.connection(5) as connection:
        await connection.execute("TRUNCATE flags.version, flags.definitions")
    with pytest.raises(FlagsUnavailable):
        await process.change(tone=flag("off"))
    assert process.variant() == "on"
    await process.close()


@pytest.mark.failure("postgresql", "lying")
async def test_a_database_set_back_to_a_backup_is_read_anew(node: FlagsNode) -> None:
    process = await node.process()
    await process.change(tone=flag("on"))
    await process.change(tone=flag("off"), other=flag("on"))
    async with process.postgres.connection(5) as connection, connection.transaction():
        await connection.execute("TRUNCATE flags.definitions")
        await connection.execute("UPDATE flags.version SET number = 1")
        await connection.execute(
            "INSERT INTO flags.definitions VALUES ('tone', 1, $1, 'api', 1, 1)", flag("on").decode()
        )
    await process.until(lambda: process.variant() == "on")
    assert process.variant("other") is None
    await process.close()


async def test_a_definition_of_another_version_of_axon_is_off_alone(node: FlagsNode) -> None:
    process = await node.process()
    await process.change(tone=flag("on"), strange=flag("on"))
    async with process.postgres.connection(5) as connection, connection.transaction():
        await connection.execute(
            "UPDATE flags.definitions SET definition = '{}', number = 2 WHERE name = 'strange'"
        )
        await connection.execute("UPDATE flags.version SET number = 2")
    await process.until(lambda: process.variant("strange") is None)
    assert process.variant() == "on"
    await process.close()


async def test_who_listens_is_told_of_every_change_and_let_go_at_the_end(
    node: FlagsNode, tmp_path: Path
) -> None:
    process = await node.process()
    heard: list[int | str | None] = []

    async def listen() -> None:
        numbers = process.flags.listen().numbers(keep_alive_s=0.05)
        while (number := await anext(numbers, "over")) != "over":
            heard.append(number)  # one by one, for the test looks on

    listening = asyncio.gather(listen())
    await process.until(lambda: heard[:2] == [0, None])
    await process.change(tone=flag("on"))
    await process.until(lambda: 1 in heard)
    process.flags.close()
    await asyncio.wait_for(listening, 60)
    await process.close()
