"""Tiers are made, changed and removed; one that organizations are in stays."""

import asyncpg
import pytest

from axon.limits import Rule, Tier, TierInUse, UnknownTier, UnusableRule, admin
from tests.limits.scene import Admitting


async def put_into(database: str, org_id: str, tier: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO accounts.orgs (id, name, tier, region, created_us)"
        " VALUES ($1, $1, $2, 'local', 1) ON CONFLICT (id) DO UPDATE SET tier = $2",
        org_id,
        tier,
    )
    await connection.close()


async def test_a_tier_goes_with_its_rules_once_nobody_is_in_it(
    admitting: Admitting, database: str
) -> None:
    gold = Tier(name="gold", description="first", share=20)
    await admitting.admin.set_tier(gold)
    assert await admitting.admin.tier("gold") == gold
    rule = Rule(rule_id="gold-daily", measure="requests", period="day", amount=5, tier="gold")
    await admitting.admin.set_rule(rule)
    await put_into(database, "org_1", "gold")
    with pytest.raises(TierInUse, match="1 in gold"):
        await admitting.admin.remove_tier("gold")
    assert rule in await admitting.admin.rules() and gold in await admitting.admin.tiers()
    await put_into(database, "org_1", "pro")
    assert await admitting.admin.remove_tier("gold") == [rule]
    assert rule not in await admitting.admin.rules()
    for refused in (admitting.admin.tier, admitting.admin.remove_tier):
        with pytest.raises(UnknownTier):
            await refused("gold")


async def test_those_axon_came_with_are_like_any_other(admitting: Admitting) -> None:
    removed = await admitting.admin.remove_tier("free")
    assert [rule.rule_id for rule in removed] == ["free-requests", "free-tokens"]
    await admitting.admin.set_tier(Tier(name="pro", description="ours"))
    assert await admitting.admin.tier("pro") == Tier(name="pro", description="ours")
    assert [tier.name for tier in await admitting.admin.tiers()] == ["enterprise", "pro"]


async def test_what_every_process_holds_is_bounded(
    admitting: Admitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "TIERS_MAX", 4)
    await admitting.admin.set_tier(Tier(name="fourth"))
    with pytest.raises(UnusableRule, match="4 tiers"):
        await admitting.admin.set_tier(Tier(name="fifth"))
    await admitting.admin.set_tier(Tier(name="fourth", description="x" * 500))
    for wrong in ("x" * 501, "\0"):
        with pytest.raises(UnusableRule, match="500 characters"):
            await admitting.admin.set_tier(Tier(name="fourth", description=wrong))
