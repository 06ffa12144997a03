"""What a flag's variant does to a turn, what its record says, and what a crash leaves."""

import asyncio
import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from axon.base import SystemClock
from axon.flags import EvaluationContext
from axon.inference import Proxies, Retriever, RetrieverOptions
from axon.limits import LimitsAdmin, Rule
from axon.metering import Price, Rates
from axon.records import Assignment, Retrieval, TurnInterrupted
from axon.turns import RunningTurn
from tests.conversations.scene import ORG, Node, Process, eventually
from tests.inference.raw_server import RawServer, whole
from tests.turns.flagged import HALVES, accepted, asked, ended, flags_of, told, turn_flag
from tests.turns.scene import LARGE, MODEL, USER, Taking, request

HELLO = [{"role": "user", "content": "hello"}]


async def taken(taking: Taking, **members: Any) -> dict[str, Any]:
    """Take a chat completion; return what the engine was told."""
    running = asyncio.ensure_future(taking.taken(asked("chat", **{"messages": HELLO, **members})))
    seen = await told(taking, running)
    await running
    return seen


async def test_a_turn_runs_on_the_model_of_its_variant_and_costs_what_that_costs(
    process: Process,
) -> None:
    taking = Taking(process)
    for price_id, model, rate in (("price_s", MODEL, 10**6), ("price_l", LARGE, 7 * 10**6)):
        rates = Rates(input=rate, output=rate)
        taking.prices.put(
            [
                Price(
                    price_id=price_id, model=model, effective_from_us=1, currency="USD", rates=rates
                )
            ]
        )
    taking.flag_set = flags_of(better=turn_flag({"model": LARGE}))
    seen = await taken(taking)
    assert seen["lane"] == LARGE
    (before,), (after,) = accepted(process), ended(process)
    assert before.head.model == MODEL and before.head.runs_on == LARGE
    assert after.head == before.head
    assert after.charge.price_id == "price_l"
    tokens = after.usage.input_tokens + after.usage.output_tokens
    assert after.charge.cost_nano == 7 * tokens > 0
    assert before.assignments == after.assignments
    (one,) = before.assignments
    definition = taking.flag_set.flags["better"].version
    assert one == Assignment("better", "on", "STATIC", 3, 3, "user", definition)


async def test_the_client_sees_the_model_it_named(process: Process) -> None:
    taking = Taking(process)
    taking.flag_set = flags_of(better=turn_flag({"model": LARGE}))
    running = asyncio.ensure_future(taking.turns.take(asked("chat", messages=HELLO)))
    await told(taking, running)
    turn = await running
    assert isinstance(turn, RunningTurn) and turn.end is not None
    assert json.loads(turn.end.body)["model"] == MODEL


async def test_limits_and_what_is_held_back_are_those_of_the_chosen_model(
    process: Process,
) -> None:
    rates = Rates(input=1_000_000, output=2_000_000)
    price = Price(price_id="price_l", model=LARGE, effective_from_us=1, currency="USD", rates=rates)
    rule = Rule(
        rule_id="of-the-large",
        measure="tokens",
        period="day",
        amount=10**6,
        org_id=ORG,
        model=LARGE,
    )
    await LimitsAdmin(process.postgres).set_rule(rule)
    await process.limits.refresh()
    taking = Taking(process)
    taking.prices.put([price])
    await taken(taking)
    effect = {"model": LARGE, "sampling": {"output_tokens_max": 50}}
    taking.flag_set = flags_of(better=turn_flag(effect))
    await taken(taking)
    asked_for, chosen = accepted(process)
    assert asked_for.head.holds == [] and asked_for.cost_reserved_nano == 0
    (hold,) = chosen.head.holds
    assert hold.amount == chosen.input_tokens_reserved + 50
    assert chosen.output_tokens_reserved == 50
    expected = chosen.input_tokens_reserved + 2 * 50
    assert chosen.cost_reserved_nano == expected > 100


async def test_a_model_nobody_serves_is_off_with_error_and_the_turn_goes_on(
    process: Process,
) -> None:
    taking = Taking(process)
    taking.flag_set = flags_of(
        gone=turn_flag({"model": "no-such-model", "sampling": {"temperature": 0.1}}),
        here=turn_flag({"sampling": {"temperature": 0.9}}),
    )
    seen = await taken(taking)
    assert (seen["lane"], seen["temperature"]) == (MODEL, 0.9)
    gone, here = accepted(process)[0].assignments
    assert (gone.variant, gone.reason) == ("", "ERROR")
    assert (here.variant, here.reason) == ("on", "STATIC")


async def test_the_record_says_for_every_flag_what_its_evaluation_said(process: Process) -> None:
    taking = Taking(process)
    context = {
        "in": [{"var": "region"}, ["eu"]],
    }
    taking.flag_set = flags_of(
        halves=turn_flag({"safety": "strict"}, targeting=HALVES),
        here={**turn_flag({}), "targeting": {"if": [context, "on", "off"]}},
        chats={**turn_flag({}), "targeting": {"if": [{"==": [{"var": "surface"}, "chat"]}, "on"]}},
        disabled={**turn_flag({"safety": "never"}), "state": "DISABLED"},
        unknown=turn_flag(
            {},
            metadata={
                "axon.turn": True,
                "axon.unit": "conversation",
                "axon.holdout": "h",
                "axon.holdout_percent": 1,
            },
        ),
    )
    served: Counter[str] = Counter()
    for user in range(1, 41):
        request = asked("chat", user=user, tier="pro", messages=HELLO)
        running = asyncio.ensure_future(taking.taken(request))
        await told(taking, running)
        await running
    for record in ended(process):
        head = record.head
        assert (head.region, head.tier, head.ours) == ("eu", "pro", False)
        by_flag = {one.flag: one for one in record.assignments}
        assert set(by_flag) == {"halves", "here", "chats", "unknown"}
        key = f"{record.head.user:016x}"
        expected = taking.flag_set.evaluate(
            "halves",
            EvaluationContext(now_us=record.head.accepted_us, targeting_key=key, org=ORG),
        )
        halves = by_flag["halves"]
        assert (halves.variant, halves.reason) == (expected.variant, "SPLIT")
        assert halves.definition == expected.definition_version
        assert record.head.safety == ("strict" if halves.variant == "on" else "")
        assert by_flag["here"].variant == by_flag["chats"].variant == "on"
        assert (by_flag["unknown"].variant, by_flag["unknown"].reason) == ("", "ERROR")
        served[halves.variant] += 1
    assert min(served["on"], served["off"]) >= 8


@pytest.mark.parametrize(("placed_as", "recorded"), [(0, 0), (USER, 0), (77, 77)])
async def test_whom_an_experiment_placed_is_recorded_where_that_is_not_the_user(
    process: Process, placed_as: int, recorded: int
) -> None:
    taking = Taking(process)
    of_orgs = turn_flag({}, metadata={"axon.turn": True, "axon.unit": "org"})
    taking.flag_set = flags_of(people=turn_flag({}), orgs=of_orgs)
    asking = msgspec.structs.replace(asked("chat", messages=HELLO), placed_as=placed_as)
    running = asyncio.ensure_future(taking.taken(asking))
    await told(taking, running)
    await running
    (record,) = accepted(process)
    assert [(one.flag, one.placed_as) for one in record.assignments] == [
        ("orgs", 0),
        ("people", recorded),
    ]


async def test_without_such_flags_nothing_is_asked_and_nothing_is_kept(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: EvaluationContext) -> None:
        raise AssertionError("somebody was asked")

    taking = Taking(process)
    taking.flag_set = flags_of(
        other={**turn_flag({}), "metadata": {}},
        killed={**turn_flag({}), "metadata": {"axon.turn": True, "axon.killed": True}},
    )
    monkeypatch.setattr(EvaluationContext, "__post_init__", never)
    await taken(taking)
    (record,) = accepted(process)
    assert (record.assignments, record.steering) == ([], b"")


async def test_a_summary_of_ours_is_no_experiment(process: Process) -> None:
    """Compaction asks a model too; what that is told is not the flags' business."""
    taking = Taking(process)
    taking.flag_set = flags_of(tone=turn_flag({"system": {"text": "Speak like a pirate."}}))
    conversation = await process.conversation("hello")
    first = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=False)))
    assert "pirate" in json.dumps(await told(taking, first))
    await first
    again = msgspec.structs.replace(request(conversation, "two", streamed=False), compact_from=1)
    second = asyncio.ensure_future(taking.taken(again))
    assert "pirate" not in json.dumps(await told(taking, second, "a summary"))
    seen = json.dumps(await told(taking, second))
    await second
    assert "pirate" in seen and "a summary" in seen
    assert [len(one.assignments) for one in accepted(process)] == [1, 0, 1]
    assert [one.head.ours for one in accepted(process)] == [False, True, False]


@pytest.mark.parametrize("change", ["other", "gone", "killed"])
async def test_a_turn_that_runs_again_does_what_its_record_says(node: Node, change: str) -> None:
    """Whatever became of the flag meanwhile: no flag is asked, and no retriever."""
    found = whole('{"passages":[{"text":"Kelp grows.","source":"sea.md"}]}')
    async with RawServer(found, close=False) as server:
        retriever = Retriever(RetrieverOptions(url=server.origin), Proxies(), SystemClock())
        dying = await node.process()
        first = Taking(dying, retriever=retriever)
        effect = {
            "model": LARGE,
            "use_rag": True,
            "safety": "strict",
            "system": {"text": "Be brief.", "version": "7"},
            "sampling": {"temperature": 0.25},
        }
        first.flag_set = flags_of(tone=turn_flag(effect))
        conversation = await dying.conversation("hello")
        running = asyncio.ensure_future(first.taken(request(conversation, "one", streamed=False)))
        delivery, _ = await first.engine.jobs.get()
        await eventually(first.left_open)
        await dying.close()
        process = await node.process()
        second = Taking(process, retriever=retriever)
        changed = {
            "other": {"tone": turn_flag({"system": {"text": "Be long."}})},
            "gone": {},
            "killed": {"tone": turn_flag({}, metadata={"axon.turn": True, "axon.killed": True})},
        }
        second.flag_set = flags_of(**changed[change])
        over = asyncio.ensure_future(eventually(lambda: ended(process)))
        await second.turns.recover(second.left_open())
        seen = await told(second, over)
        await over
        await retriever.close()
        running.cancel()
        await asyncio.wait([running])
        await second.tasks.cancel()
        assert len(server.requests) == 1
    before = json.loads(b"{%b}" % delivery.job.fields)
    assert {**before, "lane": LARGE} == seen
    assert "Kelp grows." in json.dumps(seen) and "Be brief." in json.dumps(seen)
    (start,), end = accepted(process), ended(process)[-1]
    await process.close()
    assert end.assignments == start.assignments != []
    assert end.head.runs_on == LARGE and end.head.safety == "strict"
    assert end.head.retrieval == start.head.retrieval
    assert start.head.retrieval.outcome == "found"


async def test_a_turn_that_a_crash_ends_keeps_its_assignments(process: Process) -> None:
    first = Taking(process)
    first.flag_set = flags_of(tone=turn_flag({"model": LARGE}))
    conversation = await process.conversation("hello")
    running = asyncio.ensure_future(first.taken(request(conversation, "one", streamed=True)))
    await first.engine.jobs.get()
    while not (left_open := first.left_open()):
        await asyncio.sleep(0.01)
    second = Taking(process)
    await second.turns.recover(left_open)
    (end,) = ended(process)
    assert isinstance(end, TurnInterrupted) and end.head.runs_on == LARGE
    assert [(one.flag, one.variant) for one in end.assignments] == [("tone", "on")]
    running.cancel()
    await first.tasks.cancel()
    await second.tasks.cancel()


async def test_passages_that_leave_the_question_no_room_are_left_out(process: Process) -> None:
    passages = {"passages": [{"text": "kelp " * 3_000, "source": "sea.md"}]}
    async with RawServer(whole(json.dumps(passages)), close=False) as server:
        retriever = Retriever(RetrieverOptions(url=server.origin), Proxies(), SystemClock())
        taking = Taking(process, retriever=retriever)
        taking.flag_set = flags_of(rag=turn_flag({"use_rag": True, "model": LARGE}))
        conversation = await process.conversation("hello")
        running = asyncio.ensure_future(taking.taken(request(conversation, "one", streamed=False)))
        seen = await told(taking, running)
        await running
        await retriever.close()
    assert "kelp" not in json.dumps(seen)
    (record,) = accepted(process)
    assert record.head.retrieval.outcome == "no_room"
    assert record.head.retrieval.passages == 0 < record.head.retrieval.took_us
    assert record.assignments[0].variant == "on"


async def test_a_turn_without_a_retriever_or_a_question_says_so(process: Process) -> None:
    taking = Taking(process)
    taking.flag_set = flags_of(rag=turn_flag({"use_rag": True}))
    await taken(taking)
    assert accepted(process)[-1].head.retrieval == Retrieval("none_set")
    assert accepted(process)[-1].head.user == USER
