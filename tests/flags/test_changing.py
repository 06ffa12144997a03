"""Every change is a record with who, when, why, before and after; all of it or nothing."""

import asyncio
import json
from pathlib import Path

import pytest
from msgspec import structs

from axon.flags import (
    Asked,
    ChangeWrong,
    DefinitionInvalid,
    FlagChangedMeanwhile,
    UnknownFlag,
    UnknownSchedule,
    UnknownVersion,
)
from axon.projection import Positioned
from axon.records import FlagChange, FlagsChanged
from tests.flags.flags_scene import (
    ADA,
    FlagsNode,
    KeepingFlags,
    document,
    flag,
    project,
    table,
)

HOUR_US = 3_600_000_000

_ALL = (
    "SELECT 'definition', name, version, definition, origin, number FROM flags.definitions"
    " UNION ALL SELECT 'history', name, version, after, action, number FROM flags.history"
    " UNION ALL SELECT 'version', '', 0, '', '', number FROM flags.version ORDER BY 1, 2, 3"
)


async def test_a_change_is_a_record_of_who_when_why_before_and_after(
    process: KeepingFlags,
) -> None:
    await process.change(why="a try", tone=flag("on"))
    changed = await process.change(why="too loud", tone=flag("off"))
    assert changed.versions == {"tone": 2}
    first, second = process.records()
    (one,) = second.changes
    assert (second.org_id, second.user, second.credential_id) == ("org_test", 7, "key_ada")
    assert second.why == "too loud" and second.origin == "api"
    assert abs(second.at_us - process.node.clock.now_us()) < 600_000_000
    assert (one.action, one.version) == ("edited", 2)
    assert json.loads(one.before) == json.loads(flag("on"))
    assert json.loads(one.after) == json.loads(flag("off"))
    assert (first.number, second.number) == (1, 2)
    assert process.variant() == "off"  # known here when the change returns


async def test_what_is_archived_is_off_and_comes_back_with_a_roll_back(
    process: KeepingFlags,
) -> None:
    await process.change(tone=flag("on"))
    await process.change(tone=flag("off"))
    await process.change(tone=b"")
    assert process.variant() is None
    assert process.flags.version_of("tone") == 0
    await process.flags.changes.roll_back(Asked(author=ADA, why="it was fine"), "tone", 0)
    assert process.variant() == "off"
    await process.flags.changes.roll_back(Asked(author=ADA), "tone", 1)
    assert process.variant() == "on"
    versions = await process.flags.changes.versions("tone", 99, 10)
    assert [one.action for one in versions] == [
        *("rolled_back", "rolled_back", "archived", "edited", "created"),
    ]
    assert [one.version for one in versions] == [5, 4, 3, 2, 1]
    assert versions[1].why == "it was fine"
    assert process.flags.version_of("tone") == 5


async def test_a_definition_that_is_wrong_changes_nothing_at_all(process: KeepingFlags) -> None:
    await process.change(tone=flag("on"))
    good, bad = flag("off"), b'{"state": "ENABLED", "variants": 5}'
    with pytest.raises(DefinitionInvalid) as caught:
        await process.change(tone=good, other=bad)
    assert caught.value.errors[0].path.startswith("$.flags.other")
    assert process.variant() == "on"
    assert len(process.records()) == 1
    with pytest.raises(DefinitionInvalid, match="not JSON"):
        await process.bring(b"{")
    with pytest.raises(DefinitionInvalid, match="twice"):
        await process.bring(b'{"flags": {"tone": {}, "tone": {}}}')
    with pytest.raises(DefinitionInvalid, match="not one of"):
        await process.bring(b'{"flags": {}, "flagz": {}}')
    with pytest.raises(DefinitionInvalid, match="a name is"):
        await process.bring(b'{"flags": {"no/name": {}}}')
    with pytest.raises(UnknownFlag):
        await process.change(other=b"")
    with pytest.raises(ChangeWrong):
        await process.change(why="x" * 1001, tone=good)


async def test_who_looked_at_an_older_version_changes_nothing(process: KeepingFlags) -> None:
    await process.change(tone=flag("on"))
    changes = process.flags.changes
    with pytest.raises(FlagChangedMeanwhile):
        await changes.make(Asked(wanted={"tone": flag("off")}, expected={"tone": 0}))
    await changes.make(Asked(wanted={"tone": flag("off")}, expected={"tone": 1}))
    assert process.variant() == "off"
    with pytest.raises(UnknownVersion):
        await changes.roll_back(Asked(), "tone", 3)


async def test_what_says_the_same_is_no_change(process: KeepingFlags) -> None:
    await process.change(tone=flag("on"))
    again = await process.change(tone=json.dumps(json.loads(flag("on")), indent=4).encode())
    assert again.versions == {} and again.number == 1
    assert len(process.records()) == 1


async def test_two_processes_at_once_never_give_one_number_twice(node: FlagsNode) -> None:
    processes = [await node.process(name) for name in ("a", "b")]
    await asyncio.gather(
        *(
            process.bring(document(**{f"{process.name}{number}": flag("on")}))
            for number in range(10)
            for process in processes
        )
    )
    numbers = [record.number for process in processes for record in process.records()]
    assert sorted(numbers) == list(range(1, 21))
    for process in processes:
        await process.until(lambda one=process: one.flags.number == 20)  # type: ignore[misc]
        assert len(process.flags.flag_set.flags) == 20
        await process.close()


async def test_the_records_alone_make_the_same_tables(process: KeepingFlags) -> None:
    await process.bring(document(tone=flag("on"), size=flag("off")))
    await process.change(tone=b"")
    await process.flags.changes.roll_back(Asked(author=ADA), "tone", 1)
    before = await table(process.node.database, _ALL)
    records = process.positioned()
    await project(process.node.database, records)  # it comes again: no news
    assert await table(process.node.database, _ALL) == before
    for name in ("history", "changes", "definitions", "schedules"):
        await table(process.node.database, f"TRUNCATE flags.{name} CASCADE")
    await table(process.node.database, "UPDATE flags.version SET number = 0")
    # Journals are read beside each other, so a later change may come before an earlier one.
    await project(process.node.database, [records[2], records[0], records[1]])
    assert await table(process.node.database, _ALL) == before


async def test_a_change_whose_process_died_before_the_tables_is_applied_by_the_projector(
    process: KeepingFlags,
) -> None:
    await process.change(tone=flag("on"))
    (first,) = process.positioned()
    lost, overtaken = _later(first, "flc_1"), _later(first, "flc_2")
    await project(process.node.database, [lost])
    await process.until(lambda: process.variant() == "off")
    # Of two records with one number, that counts which the tables had first.
    await project(process.node.database, [overtaken, lost])
    found = await table(process.node.database, "SELECT number, change_id FROM flags.changes")
    assert dict(found)[2] == "flc_1" and len(found) == 2


def _later(first: Positioned, change_id: str) -> Positioned:
    """Return the change that follows, as another process made it: the flag is switched off."""
    record = first.record
    assert isinstance(record, FlagsChanged)
    edited = FlagChange("tone", 2, "edited", record.changes[0].after, flag("off"))
    return Positioned(
        instance="b",
        sequence=1,
        record=structs.replace(record, change_id=change_id, number=2, changes=[edited]),
    )


async def test_a_split_keeps_the_way_it_places_people(process: KeepingFlags) -> None:
    split = {"fractional": [["on", 50], ["off", 50]]}
    await process.change(tone=flag("on", targeting=split, metadata={"axon.bucketing": "v2"}))
    await process.change(tone=flag("off", targeting=split))  # it says nothing of it
    await process.change(other=flag("on", targeting=split))
    listed = await process.flags.changes.listed()
    kept = {flag.name: json.loads(flag.definition) for flag in listed.flags}
    assert kept["tone"]["metadata"]["axon.bucketing"] == "v2"
    assert kept["other"]["metadata"]["axon.bucketing"] == "v3"


async def test_a_change_for_later_is_made_when_its_time_comes_by_one_process(
    node: FlagsNode,
) -> None:
    processes = [await node.process(name) for name in ("a", "b")]
    first = processes[0]
    await first.change(tone=flag("on"))
    due_us = node.clock.now_us() + HOUR_US
    planned = await first.flags.changes.make(
        Asked(author=ADA, why="at night", wanted={"tone": flag("off")}, due_us=due_us)
    )
    assert planned.schedule_id and planned.versions == {}
    assert first.variant() == "on"
    node.clock.ahead_us = HOUR_US
    for process in processes:
        await process.until(lambda one=process: one.variant() == "off")  # type: ignore[misc]
    made = [record for one in processes for record in one.records() if record.origin == "schedule"]
    assert [record.ended for record in made] == [[planned.schedule_id]]
    assert made[0].why == "at night" and made[0].user == 7
    assert made[0].at_us >= due_us
    with pytest.raises(UnknownSchedule):
        await first.flags.changes.call_off(ADA, planned.schedule_id, "")
    for process in processes:
        await process.close()


async def test_a_change_for_later_can_be_called_off(process: KeepingFlags) -> None:
    await process.change(tone=flag("on"))
    later_us = process.node.clock.now_us() + HOUR_US
    planned = await process.flags.changes.make(
        Asked(author=ADA, wanted={"tone": b""}, due_us=later_us)
    )
    (waiting,) = (await process.flags.changes.listed()).schedules
    assert waiting.schedule_id == planned.schedule_id and waiting.due_us == later_us
    await process.flags.changes.call_off(ADA, planned.schedule_id, "not now")
    assert (await process.flags.changes.listed()).schedules == ()
    assert process.records()[-1].ended == [planned.schedule_id]


async def test_a_change_for_later_that_cannot_be_made_then_is_over_and_changes_nothing(
    node: FlagsNode, tmp_path: Path
) -> None:
    node.folder = tmp_path / "flag-files"
    node.folder.mkdir()
    process = await node.process()
    await process.change(tone=flag("on"))
    later_us = node.clock.now_us() + HOUR_US
    await process.flags.changes.make(
        Asked(author=ADA, wanted={"tone": flag("off")}, due_us=later_us)
    )
    (node.folder / "a.json").write_bytes(document(tone=flag("on")))  # now it is the file's
    await process.until(lambda: len(process.records()) == 3)
    node.clock.ahead_us = HOUR_US
    await process.until(lambda: len(process.records()) == 4)
    last = process.records()[-1]
    assert (last.origin, last.changes) == ("schedule", [])
    assert last.why.startswith("could not be made: This flag comes from a file")
    await process.until(lambda: process.flags.number == 4)
    assert process.variant() == "on"
    await process.close()
