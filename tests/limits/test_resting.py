"""An organization that asks nothing costs nothing, and nothing of it is lost meanwhile."""

from collections.abc import AsyncIterator

import pytest

from axon.journal import write_cursor
from axon.limits import LimitsUnavailable
from axon.limits import own_turns as own_turns_file
from axon.limits.book import RESTS_AFTER_S
from axon.stores import Valkey
from tests.conversations.scene import Node
from tests.limits.scene import Admitting, LaterClock, tokens_a_month

BUDGET = 10_000
EACH = 100


@pytest.fixture
async def rested(node: Node) -> AsyncIterator[Admitting]:
    """A process whose organization has a slice and has asked nothing for long."""
    node.processes = 2
    node.clock = clock = LaterClock(node)
    one = await Admitting.started(node)
    await one.rule(tokens_a_month(BUDGET))
    await one.end(await one.begin(EACH), EACH)
    await one.limits.renew()
    assert (await slices(one))[0] > 0
    clock.ahead_us = int((RESTS_AFTER_S + 1) * 10**6)
    yield one
    await one.close()


async def slices(one: Admitting) -> list[int]:
    """Return what Valkey has set aside for the process."""
    valkey = one.process.valkey
    keys = await valkey.call("KEYS", "axon:limits:*:budget:*")
    assert isinstance(keys, list)
    found = []
    for key in keys:
        assert isinstance(key, bytes)
        given = await valkey.call("HGET", key, f"s:{one.process.instance}")
        assert isinstance(given, bytes)
        found.append(int(given))
    return found


def seen(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list into which every call to Valkey comes from now on."""
    calls: list[object] = []
    call = Valkey.call

    def seen_call(self: Valkey, *words: object) -> object:
        calls.append(words)
        return call(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Valkey, "call", seen_call)
    return calls


async def test_its_slice_is_given_back_and_then_nothing_is_asked(
    rested: Admitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cursor(rested.process.directory, await rested.project())
    await rested.limits.renew()
    assert await slices(rested) == [0]
    await rested.limits.stop()  # its own rounds would be seen
    calls = seen(monkeypatch)
    await rested.limits.renew()
    assert calls == []
    assert await rested.used("budget") == EACH
    await rested.begin(BUDGET - EACH)


async def test_it_does_not_rest_while_postgresql_lacks_what_it_used(rested: Admitting) -> None:
    await rested.limits.renew()
    assert (await slices(rested))[0] > 0


async def test_it_does_not_rest_while_a_turn_runs(rested: Admitting, node: Node) -> None:
    await rested.begin(EACH)
    write_cursor(rested.process.directory, await rested.project())
    node.clock.ahead_us *= 2  # type: ignore[attr-defined]
    await rested.limits.renew()
    assert (await slices(rested))[0] > 0


async def test_another_process_knows_what_it_used_after_a_flush(
    rested: Admitting, node: Node
) -> None:
    write_cursor(rested.process.directory, await rested.project())
    await rested.limits.renew()
    await rested.process.valkey.call("FLUSHALL")
    other = await Admitting.started(node, "b")
    assert await other.used("budget") == EACH
    await other.close()


async def test_turns_that_postgresql_lacks_are_bounded(
    admitting: Admitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_turns_file, "ENDED_MAX", 2)
    await admitting.rule(tokens_a_month(BUDGET))
    for _ in range(2):
        await admitting.end(await admitting.begin(1), 1)
    with pytest.raises(LimitsUnavailable):
        await admitting.begin(1)
    assert await admitting.used("budget") == 2
    write_cursor(admitting.process.directory, await admitting.project())
    await admitting.limits.renew()
    await admitting.begin(1)
