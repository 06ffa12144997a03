"""Leases of long turns are renewed whatever goes wrong with one of them."""

from collections.abc import Callable

import pytest

from axon.conversations import Begun, leasing
from tests.conversations.scene import WAIT_S, Process, eventually, query

HIDE_LEASES = "ALTER TABLE conversations.leases RENAME TO hidden"


async def held_by_postgresql(process: Process) -> Begun:
    """Return a turn whose lease is to be renewed in PostgreSQL, and is due."""
    begun = await held_by_valkey(process)
    begun.lease.authority = "postgres"
    return begun


async def held_by_valkey(process: Process) -> Begun:
    conversation = await process.conversation("hello")
    begun = await process.conversations.begin(process.owner(), conversation, WAIT_S)
    begun.lease.deadline -= 5.0
    return begun


async def test_an_unexpected_error_keeps_no_other_lease_from_being_renewed(
    process: Process, log_lines: Callable[[], list[str]]
) -> None:
    for _ in range(3):
        await held_by_postgresql(process)
    fine = await held_by_valkey(process)
    before = fine.lease.deadline
    await query(process.node.database, HIDE_LEASES)
    await process.conversations._leasing.renew_due()
    assert fine.lease.deadline > before
    [said] = [line for line in log_lines() if "lease-not-renewed" in line]
    assert "UndefinedTableError" in said


async def test_renewing_goes_on_after_an_unexpected_error(
    process: Process, log_lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leasing, "RENEW_EVERY_S", 0.01)
    begun = await held_by_postgresql(process)
    before = begun.lease.deadline
    await query(process.node.database, HIDE_LEASES)
    tasks = process.conversations._tasks
    task = tasks.start(process.conversations._leasing.keep_renewing(), "renew often")
    await eventually(lambda: any("UndefinedTableError" in line for line in log_lines()))
    assert not task.done()
    await query(process.node.database, "ALTER TABLE conversations.hidden RENAME TO leases")
    await eventually(lambda: begun.lease.deadline > before)
