"""Assignments in PostgreSQL: one row for each turn and flag, however often the record comes."""

import asyncpg
import msgspec

from axon.flags import FlagsProjector
from axon.metering import PriceBook
from axon.projection import Positioned
from axon.records import Assignment
from tests.metering.scene import ended, positioned, project

TONE = Assignment("to\0ne", "warm", "SPLIT", 7, 3, "user", "0123456789abcdef")
OFF = Assignment("model", "", "DISABLED", 2, 2, "org", "fedcba9876543210")


async def apply(database: str, records: list[Positioned]) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await FlagsProjector().apply(connection, records)
    finally:
        await connection.close()


async def test_what_flags_decided_is_a_row_for_each_turn_and_flag(database: str) -> None:
    book = PriceBook()
    both = msgspec.structs.replace(ended("chatcmpl_1", book), assignments=[TONE, OFF])
    failed = msgspec.structs.replace(
        ended("chatcmpl_2", book, status="failed", user=9), assignments=[TONE]
    )
    records = positioned([both, failed, ended("chatcmpl_3", book)])
    await apply(database, records)
    await apply(database, records)
    await project(database, records)
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(
            "SELECT user_id, turn_id, flag, variant, reason, definition_version, definition, "
            "bucketing_version, unit, org_id, accepted_us FROM flags.assignments "
            "ORDER BY turn_id, flag"
        )
        metered = await connection.fetch(
            "SELECT turn_id, variant FROM metering.turns ORDER BY turn_id"
        )
    finally:
        await connection.close()
    at_us = both.head.accepted_us
    tone = ("to\ufffdne", "warm", "SPLIT", 7, "0123456789abcdef", 3, "user", "org_1", at_us)
    off = ("model", "", "DISABLED", 2, "fedcba9876543210", 2, "org", "org_1", at_us)
    assert [tuple(row) for row in rows] == [
        (7, "chatcmpl_1", *off),
        (7, "chatcmpl_1", *tone),
        (9, "chatcmpl_2", *tone),
    ]
    variant = "to\ufffdne=warm"  # a flag that was off is no variant
    assert [row["variant"] for row in metered] == [variant, variant, ""]
