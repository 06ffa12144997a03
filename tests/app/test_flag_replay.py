"""A draft on turns of the past, beside what each turn says when it is looked at alone."""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from axon.app.flag_replay import (
    Draft,
    DraftWithoutTurns,
    FlagMoves,
    Outcome,
    Range,
    Stage,
    replay,
)
from axon.app.flag_replay.outcome import PLACES_MAX, SAMPLE_MAX, Moves
from axon.app.flag_replay.past_turns import ROWS_AT_ONCE
from axon.conversations import ConversationsProjector
from axon.flags import (
    PLACES,
    Allocation,
    DefinitionInvalid,
    EvaluationContext,
    FlagsProjector,
    KeptFlag,
    read_definitions,
)
from axon.flags.allocation import Part, write_allocation
from axon.metering import MeteringProjector, PriceBook, Rates, rate
from axon.records import Assignment, TurnCompleted, TurnInterrupted
from axon.stores import Postgres
from tests.metering.scene import DAY_US, START_US, ended, positioned, price

End = TurnCompleted | TurnInterrupted

LARGE = price(price_id="price_2", model="large", rates=Rates(input=9_000_000_000, output=5))
BOOK = PriceBook([price(), LARGE])
TURN = {"axon.turn": True, "axon.bucketing": "v3"}
SPAN = Range(START_US, START_US + DAY_US)


def _document(percent: int, model: str = "large") -> bytes:
    """Return a route for some users of one region and tier, and a prompt by conversation."""
    chosen = {"fractional": [["large", percent], ["small", 100 - percent]]}
    where = {"and": [{"==": [{"var": "region"}, "EU"]}, {"==": [{"var": "tier"}, "pro"]}]}
    route = {
        "state": "ENABLED",
        "variants": {"large": {"model": model}, "small": {}},
        "defaultVariant": "small",
        "targeting": {"if": [where, chosen, None]},
        "metadata": TURN,
    }
    words = {
        "state": "ENABLED",
        "variants": {"kind": {"system": {"text": "Be kind."}}, "plain": {}},
        "defaultVariant": None,
        "targeting": {"fractional": [["kind", percent], ["plain", 100 - percent]]},
        "metadata": TURN | {"axon.unit": "conversation", "axon.requires.route": "large,small"},
    }
    return json.dumps({"flags": {"route": route, "words": words}}).encode()


def _kept(document: bytes) -> list[KeptFlag]:
    return [
        KeptFlag(
            name=name,
            version=1,
            definition=json.dumps(definition).encode(),
            origin="api",
            number=1,
            at_us=1,
        )
        for name, definition in json.loads(document)["flags"].items()
    ]


def _context(record: End) -> EvaluationContext:
    head = record.head
    return EvaluationContext(
        now_us=head.accepted_us,
        targeting_key=f"{head.user:016x}",
        user=f"{head.user:016x}",
        org=head.org_id,
        conversation=head.conversation_id,
        region=head.region,
        model=head.model,
        tier=head.tier,
        claimed={"surface": head.surface},
    )


def _assigned(record: End) -> End:
    """Return the turn as flags of before, at 20 percent, had it carried out and charged."""
    before = read_definitions(_document(20))
    assignments, model = [], ""
    for flag in before.turn_flags:
        found = flag.evaluate(_context(record))
        assignments.append(Assignment(flag.key, found.variant or "", found.reason, 1, 3, flag.key))
        if found.variant == "large":
            model = "large"
    head = msgspec.structs.replace(record.head, variant_model=model)
    charge = BOOK.charge(head, record.status, record.usage)
    return msgspec.structs.replace(record, head=head, assignments=assignments, charge=charge)


def _turns(count: int) -> list[End]:
    found: list[End] = []
    for number in range(count):
        user = number % 97
        record = ended(f"chatcmpl_{number:05}", BOOK, user=user, accepted_us=START_US + number)
        head = msgspec.structs.replace(
            record.head,
            conversation_id=f"conv_{user}_{number // 97 % 5}",
            sequence=number // 97 // 5 + 1,
            fence=1,
            region="EU" if user % 3 else "US",
            tier="pro" if user % 2 else "free",
        )
        found.append(_assigned(msgspec.structs.replace(record, head=head)))
    return found


@pytest.fixture
async def postgres(database: str) -> AsyncIterator[Postgres]:
    opened = Postgres(database)
    await opened.start()
    yield opened
    await opened.stop()


async def _apply(database: str, records: list[End]) -> None:
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            for projector in (ConversationsProjector(), FlagsProjector(), MeteringProjector()):
                await projector.apply(connection, positioned(records))
    finally:
        await connection.close()


async def _replayed(postgres: Postgres, draft: Draft) -> tuple[Outcome, list[Stage]]:
    stages: list[Stage] = []
    return await replay(postgres, draft, BOOK, SPAN, stages.append), stages


def _moves(flag: FlagMoves) -> dict[tuple[str, str], tuple[int, int]]:
    return {(move.before, move.after): (move.turns, move.units) for move in flag.moves}


async def test_who_would_have_moved_is_who_each_turn_says(
    database: str, postgres: Postgres
) -> None:
    records = _turns(ROWS_AT_ONCE + 500)
    await _apply(database, records)
    outcome, stages = await _replayed(postgres, Draft(_document(60), _kept(_document(20))))

    draft = read_definitions(_document(60))
    turns: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    units: dict[tuple[str, str, str], set[Any]] = defaultdict(set)
    moved, after_nano, rerouted = 0, 0, 0
    for record in records:
        different, model = False, record.head.model
        for one in record.assignments:
            found = draft.evaluate(one.flag, _context(record))
            move = (one.variant or "(off)", found.variant or "(off)")
            turns[one.flag][move] += 1
            unit = record.head.user if one.flag == "route" else record.head.conversation_id
            units[(one.flag, *move)].add(unit)
            different = different or move[0] != move[1]
            model = "large" if found.variant == "large" else model
        moved += different
        rerouted += model != record.head.runs_on
        by = LARGE if model == "large" else price()
        after_nano += rate(by, record.usage)

    assert outcome.turns == len(records) and outcome.moved == moved > 0
    for flag in outcome.flags:
        assert _moves(flag) == {
            move: (many, len(units[(flag.flag, *move)])) for move, many in turns[flag.flag].items()
        }
        assert [move.stays for move in flag.moves] == sorted(move.stays for move in flag.moves)
        assert all(len(move.sample) == min(move.units, SAMPLE_MAX) for move in flag.moves)
    assert {flag.flag: flag.unit for flag in outcome.flags} == {
        "route": "user",
        "words": "conversation",
    }
    (cost,) = outcome.costs
    assert cost.currency == "USD" and cost.after_nano == after_nano
    assert cost.before_nano == sum(record.charge.cost_nano for record in records) < after_nano
    assert outcome.rerouted == rerouted > 0 and outcome.unpriced == 0
    assert stages == [Stage(ROWS_AT_ONCE, len(records)), Stage(len(records), len(records))]


async def test_a_draft_that_says_what_was_moves_nobody(database: str, postgres: Postgres) -> None:
    records = _turns(300)
    await _apply(database, records)
    outcome, _ = await _replayed(postgres, Draft(_document(20), []))
    assert outcome.turns == 300 and outcome.moved == outcome.rerouted == 0
    assert all(move.stays for flag in outcome.flags for move in flag.moves)
    (cost,) = outcome.costs
    assert cost.before_nano == cost.after_nano > 0


async def test_only_turns_that_flags_are_asked_for_count(database: str, postgres: Postgres) -> None:
    usual = ended("chatcmpl_1", BOOK)
    others: list[tuple[str, dict[str, Any]]] = [
        ("chatcmpl_2", {"ours": True}),
        ("chatcmpl_3", {"surface": "embeddings"}),
        ("chatcmpl_4", {"accepted_us": SPAN.until_us}),
        ("chatcmpl_5", {"accepted_us": SPAN.since_us - 1}),
    ]
    records = [usual] + [
        msgspec.structs.replace(
            usual, head=msgspec.structs.replace(usual.head, turn_id=turn_id, **changes)
        )
        for turn_id, changes in others
    ]
    await _apply(database, records)
    outcome, _ = await _replayed(postgres, Draft(_document(20), []))
    assert outcome.turns == outcome.moved == 1
    # It was accepted before there were such flags; and it has no conversation, so "words" is off.
    by_flag = {flag.flag: flag for flag in outcome.flags}
    assert _moves(by_flag["route"]) == {("(not asked)", "small"): (1, 1)}
    assert _moves(by_flag["words"]) == {("(not asked)", "(off)"): (1, 1)}


async def test_who_has_signed_in_is_placed_as_before(database: str, postgres: Postgres) -> None:
    """A running experiment places somebody as whom the turn's record says, else as the user."""
    line = Allocation(experiment="calm", parts=(Part(0, PLACES // 2, "kind"),), rest="plain")
    people = range(1, 200)
    on, off = (
        next(one for one in people if line.variant_of(f"{one:016x}") == variant)
        for variant in ("kind", "plain")
    )
    flag = {
        "state": "ENABLED",
        "variants": {"kind": {"system": {"text": "Be kind."}}, "plain": {}},
        "defaultVariant": "plain",
        "targeting": {"fractional": [["kind", 50], ["plain", 50]]},
        "metadata": TURN | {"axon.allocation": write_allocation(line)},
    }
    draft = Draft(json.dumps({"flags": {"words": flag}}).encode(), [])
    served = Assignment("words", "kind", "SPLIT", 1, 3, "user", placed_as=on)
    known = ended("chatcmpl_1", BOOK, user=off, accepted_us=START_US)
    stranger = ended("chatcmpl_2", BOOK, user=off, accepted_us=START_US)
    await _apply(database, [msgspec.structs.replace(known, assignments=[served]), stranger])
    outcome, _ = await _replayed(postgres, draft)
    (found,) = outcome.flags
    assert _moves(found) == {("kind", "kind"): (1, 1), ("(not asked)", "plain"): (1, 1)}


async def test_a_model_without_a_price_is_named_as_such(database: str, postgres: Postgres) -> None:
    await _apply(database, _turns(300))
    outcome, _ = await _replayed(postgres, Draft(_document(100, "unpriced"), []))
    assert outcome.rerouted == outcome.unpriced > 0


def test_a_draft_may_require_flags_that_are_in_force() -> None:
    whole = json.loads(_document(50))
    words = json.dumps({"flags": {"words": whole["flags"]["words"]}}).encode()
    with pytest.raises(DefinitionInvalid):
        Draft(words, [])
    draft = Draft(words, _kept(_document(20)))
    assert [flag.key for flag in draft.flags] == ["words"]


def test_a_draft_for_clients_alone_is_refused() -> None:
    flag = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    with pytest.raises(DraftWithoutTurns):
        Draft(json.dumps({"flags": {"beta": flag}}).encode(), _kept(_document(20)))


def test_what_is_told_apart_is_bounded() -> None:
    moves = Moves({"it": "org"})
    for number in range(PLACES_MAX + 10):
        moves.person(number)
        moves.count("it", "a", "b", f"org_{number}")
    for again in (0, PLACES_MAX):  # the first is known, the other one no longer is
        moves.count("it", "a", "b", f"org_{again}")
    (found,) = moves.told()
    (move,) = found.moves
    assert move.turns == PLACES_MAX + 12 and move.units == PLACES_MAX + 11
