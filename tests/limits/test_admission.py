"""Admission against a real Valkey: all rules or none, and never above a budget."""

import pytest

from axon.limits import LimitReached, LimitsUnavailable, Rule, UnusableRule
from axon.limits import admin as admin_file
from axon.limits import shared_counters as shared_file
from tests.conversations.scene import ORG, Node
from tests.limits.scene import Admitting, all_done, tokens_a_month


async def test_who_has_no_limits_is_asked_nothing(admitting: Admitting) -> None:
    assert await admitting.limits.admit(admitting.asked(10**9)) is None


async def test_a_free_tier_has_ten_requests_a_day(admitting: Admitting) -> None:
    for number in range(10):
        admission = await admitting.limits.admit(admitting.asked(5, tier="free"))
        assert admission is not None
        requests = next(one for one in admission.states if one.measure == "requests")
        assert (requests.amount, requests.remaining) == (10, 9 - number)
    with pytest.raises(LimitReached) as refused:
        await admitting.limits.admit(admitting.asked(5, tier="free"))
    assert refused.value.reached.rule_id == "free-requests"
    assert await admitting.limits.admit(admitting.asked(5, tier="pro")) is None


async def test_64_at_once_against_a_budget_worth_9_of_them(admitting: Admitting) -> None:
    await admitting.rule(tokens_a_month(9 * 100))
    came = await all_done(*[admitting.begin(100) for _ in range(64)])
    running = [one for one in came if not isinstance(one, Exception)]
    assert len(running) == 9
    assert {type(one) for one in came if isinstance(one, Exception)} == {LimitReached}
    for one in running:
        await admitting.end(one, 40)  # type: ignore[arg-type]
    assert await admitting.used("budget") == 9 * 40
    again = await all_done(*[admitting.begin(100) for _ in range(64)])
    assert len([one for one in again if not isinstance(one, Exception)]) == (900 - 360) // 100


async def test_a_refusal_of_one_rule_takes_nothing_from_the_others(admitting: Admitting) -> None:
    await admitting.rule(tokens_a_month(1000))
    await admitting.rule(
        Rule(rule_id="tight", measure="requests", period="minute", amount=1, org_id=ORG)
    )
    await admitting.begin(100)
    for _ in range(5):
        with pytest.raises(LimitReached, match="tight"):
            await admitting.begin(100)
    assert await admitting.used("budget") == 100


async def test_concurrent_turns_give_their_places_back(admitting: Admitting) -> None:
    await admitting.rule(
        Rule(rule_id="at-once", measure="concurrent", period="", amount=2, org_id=ORG)
    )
    first, _ = await admitting.begin(), await admitting.begin()
    with pytest.raises(LimitReached):
        await admitting.begin()
    await admitting.end(first, 1)
    await admitting.begin()


async def test_a_turn_that_was_not_accepted_gives_everything_back(admitting: Admitting) -> None:
    await admitting.rule(tokens_a_month(100))
    admission = await admitting.limits.admit(admitting.asked(100))
    assert admission is not None
    admitting.limits.give_back(ORG, admission)
    assert await admitting.used("budget") == 0
    await admitting.begin(100)


async def test_grace_and_soft_limits_admit_and_say_so(admitting: Admitting) -> None:
    await admitting.rule(
        Rule(rule_id="budget", measure="tokens", period="month", amount=100, grace=50, org_id=ORG)
    )
    await admitting.rule(
        Rule(rule_id="warning", measure="tokens", period="day", amount=10, kind="soft", org_id=ORG)
    )
    admission = await admitting.limits.admit(admitting.asked(120))
    assert admission is not None
    assert [state.rule_id for state in admission.states if state.exceeded] == ["budget", "warning"]
    with pytest.raises(LimitReached, match="budget"):
        await admitting.limits.admit(admitting.asked(40))


async def test_each_user_has_a_counter_of_his_own_where_a_rule_says_so(
    admitting: Admitting,
) -> None:
    await admitting.rule(
        Rule(
            rule_id="each", measure="requests", period="day", amount=1, org_id=ORG, apart=("user",)
        )
    )
    for user in (7, 8):
        assert await admitting.limits.admit(admitting.asked(user=user)) is not None
        with pytest.raises(LimitReached):
            await admitting.limits.admit(admitting.asked(user=user))


async def test_two_processes_share_a_budget(admitting: Admitting, node: Node) -> None:
    other = await Admitting.started(node, "b")
    await admitting.rule(tokens_a_month(9 * 100))
    await other.limits.refresh()
    came = await all_done(*[one.begin(100) for one in (admitting, other) for _ in range(32)])
    assert len([one for one in came if not isinstance(one, Exception)]) == 9
    assert await admitting.used("budget") == await other.used("budget") == 900
    await other.close()


async def test_what_others_have_set_aside_is_given_back_when_it_is_wanted(
    admitting: Admitting, node: Node
) -> None:
    other = await Admitting.started(node, "b")
    await admitting.rule(tokens_a_month(10_000))
    await other.limits.refresh()
    await other.begin(100)
    await other.limits.renew()  # an eighth of the rest is its own now
    came = await all_done(*[admitting.begin(100) for _ in range(120)])
    assert len([one for one in came if not isinstance(one, Exception)]) == 99
    assert {type(one) for one in came if isinstance(one, Exception)} == {LimitReached}
    await other.close()


async def test_what_another_has_set_aside_and_does_not_give_back_is_not_given_away(
    admitting: Admitting, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_file, "SLICES_BACK_S", 0.0)
    monkeypatch.setattr(shared_file, "RENEW_EVERY_S", 3600.0)
    other = await Admitting.started(node, "b")
    await admitting.rule(tokens_a_month(10_000))
    await other.limits.refresh()
    await other.begin(100)
    await other.limits.renew()
    await other.limits.stop()  # as one that hangs
    with pytest.raises(LimitsUnavailable):
        await admitting.begin(9_900)
    assert await admitting.used("budget") == 100
    await other.close()


async def test_rules_are_bounded(admitting: Admitting, monkeypatch: pytest.MonkeyPatch) -> None:
    there = len(await admitting.admin.rules())
    monkeypatch.setattr(admin_file, "RULES_MAX", there + 1)
    for amount in (1, 2):  # one that is there may still be changed
        await admitting.rule(tokens_a_month(amount))
    with pytest.raises(UnusableRule, match="already"):
        await admitting.rule(Rule(rule_id="one-more", measure="tokens", period="day", amount=1))


@pytest.mark.parametrize(
    ("measure", "currency"), [("money", ""), ("money", "usd"), ("tokens", "USD")]
)
async def test_money_and_nothing_else_has_a_currency(
    admitting: Admitting, measure: str, currency: str
) -> None:
    with pytest.raises(UnusableRule):
        await admitting.rule(
            Rule(rule_id="odd", measure=measure, period="day", amount=1, currency=currency)
        )
