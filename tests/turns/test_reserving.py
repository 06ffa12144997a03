"""What limits cost whom they do not concern: nothing but a look-up."""

import asyncio

import msgspec
import pytest

from axon.limits import LimitsAdmin, Rule
from axon.records import TurnAccepted, TurnCompleted, decode
from axon.stores import Postgres, Valkey
from tests.conversations.scene import ORG, Process
from tests.turns.scene import Taking, request


async def test_a_turn_without_limits_asks_no_store_about_them(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits of others, a tier's and another organization's, are none of its own."""
    admin = LimitsAdmin(process.postgres)
    for rule_id, org_id, tier in (("other", "org_other", ""), ("tier", "", "free")):
        await admin.set_rule(
            Rule(
                rule_id=rule_id,
                measure="requests",
                period="day",
                amount=0,
                org_id=org_id,
                tier=tier,
            )
        )
    await process.limits.refresh()
    await process.limits.stop()  # its polls would be seen
    taking = Taking(process)
    calls: list[object] = []
    call, connection = Valkey.call, Postgres.connection

    def seen_call(self: Valkey, *words: object) -> object:
        calls.append(words)
        return call(self, *words)  # type: ignore[arg-type]

    def seen_connection(self: Postgres, timeout_s: float) -> object:
        calls.append("a connection to PostgreSQL")
        return connection(self, timeout_s)

    monkeypatch.setattr(Valkey, "call", seen_call)
    monkeypatch.setattr(Postgres, "connection", seen_connection)
    alone = msgspec.structs.replace(
        request("", "one", streamed=False), conversation_id=None, stored=False
    )
    running = asyncio.ensure_future(taking.taken(alone))
    await taking.answer("two")
    await running
    assert calls == []
    records = [decode(entry.kind, entry.payload) for entry in process.journal.read(0)]
    accepted = [one for one in records if isinstance(one, TurnAccepted)]
    assert [(one.head.org_id, one.head.holds) for one in accepted] == [(ORG, [])]
    assert [one.head.holds for one in records if isinstance(one, TurnCompleted)] == [[]]
