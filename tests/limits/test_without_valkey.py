"""While Valkey is away: slices and shares of this process, and 503 where nobody can tell."""

import asyncio

import pytest

from axon.app.embedded import EmbeddedServer
from axon.limits import LimitReached, LimitsUnavailable, Rule
from tests.conversations.scene import ORG, Node
from tests.limits.scene import Admitting, Running, all_done, tokens_a_month

BACK_WITHIN_S = 10.0


async def _gone(admitting: Admitting) -> None:
    while admitting.process.valkey.available:
        await asyncio.sleep(0.01)


@pytest.mark.failure("valkey", "down")
async def test_slices_are_never_more_than_the_budget_and_it_comes_back_by_itself(
    admitting: Admitting, node: Node, valkey_server: EmbeddedServer
) -> None:
    other = await Admitting.started(node, "b")
    both = (admitting, other)
    await admitting.rule(tokens_a_month(10_000))
    await other.limits.refresh()
    for one in both:
        await one.end(await one.begin(100), 100)
        await one.limits.renew()
    valkey_server.kill()
    for one in both:
        await _gone(one)
    came = await all_done(*[one.begin(100) for one in both for _ in range(100)])
    admitted = [one for one in came if not isinstance(one, Exception)]
    assert {type(one) for one in came if isinstance(one, Exception)} == {LimitsUnavailable}
    first, second = 9_900 // 8 // 100, 9_000 // 8 // 100
    assert first <= len(admitted) <= first + second + 2
    assert len(admitted) * 100 + 200 <= 10_000
    valkey_server.ensure()
    async with asyncio.timeout(BACK_WITHIN_S):
        for one in both:
            await one.process.valkey.wait_until_available()
            await one.limits.renew()
    assert await admitting.used("budget") == await other.used("budget") == 200 + 100 * len(admitted)
    await other.close()


@pytest.mark.failure("valkey", "down")
async def test_what_cannot_be_told_is_refused_for_now(
    admitting: Admitting, valkey_server: EmbeddedServer
) -> None:
    await admitting.rule(tokens_a_month(10_000))
    valkey_server.kill()
    await _gone(admitting)
    with pytest.raises(LimitsUnavailable):
        await admitting.begin(100)


async def test_an_exhausted_budget_stays_exhausted(
    admitting: Admitting, valkey_server: EmbeddedServer
) -> None:
    await admitting.rule(tokens_a_month(100))
    await admitting.begin(100)
    with pytest.raises(LimitReached):
        await admitting.begin(100)
    valkey_server.kill()
    await _gone(admitting)
    with pytest.raises(LimitReached):
        await admitting.begin(100)


async def test_each_process_has_its_share_of_a_rate(
    admitting: Admitting, valkey_server: EmbeddedServer
) -> None:
    await admitting.rule(
        Rule(rule_id="rate", measure="requests", period="minute", amount=3, org_id=ORG)
    )
    valkey_server.kill()
    await _gone(admitting)
    came = await all_done(*[admitting.begin() for _ in range(10)])
    refused = [one for one in came if isinstance(one, Exception)]
    assert {type(one) for one in refused} == {LimitReached}
    assert 7 - 3 <= len(refused) <= 7  # a minute may end in between


@pytest.mark.failure("valkey", "frozen")
async def test_what_a_frozen_one_does_late_changes_nothing(
    admitting: Admitting, valkey_server: EmbeddedServer
) -> None:
    await admitting.rule(tokens_a_month(10_000))
    await admitting.end(await admitting.begin(100), 10)
    await admitting.limits.renew()
    valkey_server.freeze()
    came = await all_done(*[admitting.begin(100) for _ in range(20)])
    admitted = [one for one in came if isinstance(one, Running)]
    assert len(admitted) == 9_990 // 8 // 100
    await admitting.end(admitted.pop(), 30)
    valkey_server.thaw()
    async with asyncio.timeout(BACK_WITHIN_S):
        await admitting.process.valkey.wait_until_available()
    assert await admitting.used("budget") == 10 + 30 + 100 * len(admitted)


@pytest.mark.failure("postgresql", "down")
async def test_who_was_counted_goes_on_without_postgresql(
    admitting: Admitting, node: Node, postgres_server: EmbeddedServer
) -> None:
    await admitting.rule(tokens_a_month(10_000))
    running = await admitting.begin(100)
    postgres_server.kill()
    assert not await admitting.limits.refresh()
    with pytest.raises(LimitsUnavailable):
        await admitting.admin.rules()
    await admitting.end(running, 40)
    assert await admitting.used("budget") == 40
    await admitting.begin(100)
    await admitting.close()
    admitting.__init__(await node.process())  # type: ignore[misc]
    with pytest.raises(LimitsUnavailable):  # what others used meanwhile nobody can tell
        await admitting.begin(100)
