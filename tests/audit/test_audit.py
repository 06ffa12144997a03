"""The audit's rows follow the records; two people agree; what is old and not held goes."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from axon.audit import (
    Audit,
    Auditor,
    AuditParts,
    AuditProjector,
    AuditQuestion,
    Retention,
    SecondAuditorNeeded,
    UnknownTurn,
)
from axon.base import SystemClock
from axon.conversations import Opener, Owner
from axon.journal import LOST_KIND
from axon.projection import Positioned
from axon.records import AccessLogged, Record, SubjectErased, TurnCompleted, Verdict, decode
from axon.sealing import Keyring
from tests.conversations.scene import ORG, Node, Process

CARL = Auditor(org_id=ORG, user=100, credential_id="key_carl", reason="complaint 1")
DORA = Auditor(org_id=ORG, user=101, credential_id="key_dora", reason="seen the complaint")
DAY_US = 86_400_000_000


@pytest.fixture
def node(tmp_path: Path, keyring: Keyring, database: str, valkey_url: str) -> Node:
    return Node(tmp_path, keyring, database, valkey_url)


@pytest.fixture
async def process(node: Node) -> AsyncIterator[Process]:
    opened = await node.process()
    yield opened
    await opened.close()


async def project(process: Process, *records: Record) -> None:
    """Apply records, or all of the journal, as the projector does."""
    found = [
        Positioned(instance="a", sequence=number, record=record)
        for number, record in enumerate(records, 1)
    ]
    async with process.postgres.connection(10.0) as connection, connection.transaction():
        await AuditProjector().apply(connection, found or await process.records())


def audit_of(process: Process, *, two_people: bool) -> Audit:
    return Audit(
        AuditParts(
            postgres=process.postgres,
            journal=process.journal,
            opener=Opener(process.keys, process.postgres),
            mint=process.mint,
            clock=SystemClock(),
            two_people=two_people,
        )
    )


async def turn_of(process: Process, text: str, user: int = 7) -> TurnCompleted:
    conversation = await process.conversation(user=user)
    begun = await process.conversations.begin(process.owner(user), conversation, 10.0)
    record, _ = await process.completed(await process.head(begun), "asked", text)
    await process.conversations.abort(begun)
    return record


async def rows(process: Process) -> list[asyncpg.Record]:
    async with process.postgres.connection(10.0) as connection:
        return list(await connection.fetch("SELECT * FROM audit.turns ORDER BY turn_id"))


async def test_a_record_twice_changes_nothing_and_a_placed_end_replaces_another(
    process: Process,
) -> None:
    ended = await turn_of(process, "answered")
    accepted = await process.accepted(ended.head)
    await project(process, accepted, ended)
    once = await rows(process)
    await project(process, ended, accepted)
    await project(process, accepted)
    assert await rows(process) == once
    unplaced = msgspec.structs.replace(
        ended, head=msgspec.structs.replace(ended.head, turn_id="resp_u", sequence=0)
    )
    placed = msgspec.structs.replace(
        ended, head=msgspec.structs.replace(ended.head, turn_id="resp_u", conversation_id="conv_2")
    )
    await project(process, unplaced)
    await project(process, placed)
    await project(process, unplaced)
    (row,) = [row for row in await rows(process) if row["turn_id"] == "resp_u"]
    assert (row["conversation_id"], row["unplaced"]) == ("conv_2", False)
    erased = SubjectErased("chg", ORG, 7, "key", 1, "asked")
    await project(process, erased)
    assert {row["content"] for row in await rows(process)} == {None}


async def test_content_opens_only_once_a_second_auditor_agreed(process: Process) -> None:
    ended = await turn_of(process, "the answer")
    await project(process, await process.accepted(ended.head), ended)
    owner, turn_id = Owner(org_id=ORG, user=7), ended.head.turn_id
    audit = audit_of(process, two_people=True)
    with pytest.raises(SecondAuditorNeeded):
        await audit.read(CARL, owner, turn_id)
    request = await audit.ask(CARL, owner, turn_id)
    with pytest.raises(SecondAuditorNeeded):
        await audit.read(CARL, owner, turn_id, request.request_id)
    await audit.approve(DORA, request.request_id)
    with pytest.raises(SecondAuditorNeeded):
        await audit.read(DORA, owner, turn_id, request.request_id)
    view = await audit.read(CARL, owner, turn_id, request.request_id)
    assert "the answer" in str(bytes(view.opened.output[0].content))
    with pytest.raises(UnknownTurn):
        await audit.read(CARL, owner, "resp_none", request.request_id)
    logged = [
        record
        for entry in process.journal.read(0)
        if entry.kind != LOST_KIND
        and isinstance(record := decode(entry.kind, entry.payload), AccessLogged)
    ]
    did = [(one.action, one.user) for one in logged]
    assert did == [("requested", 100), ("approved", 101), ("read", 100)]
    assert logged[-1].subject == 7 and logged[-1].objects == [turn_id]


async def test_what_is_old_goes_unless_it_is_held(process: Process) -> None:
    now_us = SystemClock().now_us()
    records = []
    for user, age_days in ((7, 800), (8, 800), (9, 1), (10, 800)):
        ended = await turn_of(process, "x", user)
        head = msgspec.structs.replace(ended.head, accepted_us=now_us - age_days * DAY_US)
        records.append(msgspec.structs.replace(ended, head=head))
    await project(process, *records)
    audit = audit_of(process, two_people=False)
    hold = await audit.hold(CARL, 8)
    of_ten = records[3].head.conversation_id
    await audit.hold(CARL, 10, of_ten)
    retention = Retention(process.postgres, SystemClock(), 730)
    await retention.expire()
    assert sorted(row["user_id"] for row in await rows(process)) == [8, 9, 10]
    await audit.release(CARL, hold.hold_id)
    await retention.expire()
    assert sorted(row["user_id"] for row in await rows(process)) == [9, 10]


async def test_turns_are_found_by_what_safety_did(process: Process) -> None:
    verdicts = [Verdict("input", "rules 1", "passed"), Verdict("output", "rules 1", "redacted")]
    checked = msgspec.structs.replace(await turn_of(process, "checked"), verdicts=verdicts)
    plain = await turn_of(process, "never looked at")
    await project(process, checked, plain)
    audit = audit_of(process, two_people=False)

    async def found(verdict: str) -> list[tuple[str, list[str]]]:
        turns = await audit.search(AuditQuestion(org_id=ORG, verdict=verdict))
        return [(one.turn_id, one.verdicts) for one in turns]

    shown = (checked.head.turn_id, ["input:passed", "output:redacted"])
    assert await found("redacted") == await found("passed") == [shown]
    assert await found("blocked") == []
    assert sorted(await found("")) == sorted([shown, (plain.head.turn_id, [])])
