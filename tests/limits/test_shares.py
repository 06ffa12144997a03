"""Shares of the job queue: who has one, and what shares can be."""

import pytest

from axon.inference.jobs import ROWS
from axon.limits import QueueShare, Tier, UnusableRule
from axon.limits.admin import SHARED_MAX, SHARES_MAX
from tests.limits.scene import Admitting


async def tier(admitting: Admitting, name: str, share: int) -> None:
    await admitting.admin.set_tier(Tier(name=name, share=share))
    await admitting.limits.refresh()


async def test_enterprise_has_half_of_the_queue(admitting: Admitting) -> None:
    assert admitting.limits.share("enterprise") == QueueShare(1, 50)
    for other in ("free", "pro", "", "default"):
        assert admitting.limits.share(other) == QueueShare(0, 50)


async def test_shares_are_changed_and_taken_away(admitting: Admitting) -> None:
    await tier(admitting, "pro", 30)
    assert admitting.limits.share("enterprise") == QueueShare(1, 50)
    assert admitting.limits.share("pro") == QueueShare(2, 30)
    assert admitting.limits.share("free") == QueueShare(0, 20)
    await tier(admitting, "enterprise", 0)
    assert admitting.limits.share("pro") == QueueShare(1, 30)
    assert admitting.limits.share("enterprise") == QueueShare(0, 70)


async def test_something_is_left_for_who_has_no_share(admitting: Admitting) -> None:
    with pytest.raises(UnusableRule, match="other tiers have 50%"):
        await tier(admitting, "pro", SHARED_MAX - 50 + 1)
    await tier(admitting, "pro", SHARED_MAX - 50)
    assert admitting.limits.share("free") == QueueShare(0, 100 - SHARED_MAX)
    with pytest.raises(UnusableRule, match="percentage"):
        await tier(admitting, "pro", -1)


async def test_each_share_has_a_row_of_its_own(admitting: Admitting) -> None:
    for number in range(1, SHARES_MAX):
        await tier(admitting, f"tier-{number}", 1)
    with pytest.raises(UnusableRule, match=f"{SHARES_MAX} tiers"):
        await tier(admitting, "one-more", 1)
    names = ["enterprise", *(f"tier-{number}" for number in range(1, SHARES_MAX))]
    assert {admitting.limits.share(name).row for name in names} == set(range(1, ROWS))
