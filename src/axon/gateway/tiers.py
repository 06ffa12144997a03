"""`/v1/tiers`: the tiers that organizations are put into, for who may define limits."""

from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import member
from axon.limits import Tier


async def list_tiers(door: Door, call: Call) -> None:
    """Answer with every tier; wants the permission `limits`."""
    found = await door.limits_admin.tiers()
    await call.reply_value({"object": "list", "data": [_shown(tier) for tier in found]})


async def get_tier(door: Door, call: Call, tier_id: str) -> None:
    """Answer with one tier; wants the permission `limits`."""
    await call.reply_value(_shown(await door.limits_admin.tier(tier_id)))


async def set_tier(door: Door, call: Call, tier_id: str) -> None:
    """Make a tier, or change the one of this name; wants the permission `limits`.

    What the body does not name is empty from then on. It counts within a second.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    tier = Tier(
        name=tier_id,
        description=member(fields, "description", str) or "",
        share=member(fields, "queue_share", int) or 0,
    )
    await door.limits_admin.by(call.actor).set_tier(tier)
    await call.reply_value(_shown(tier))


async def remove_tier(door: Door, call: Call, tier_id: str) -> None:
    """Remove a tier and the rules that name it; wants the permission `limits`.

    One that organizations are in is a 409, and stays. Those that Axon came with are removed like
    any other, and are not made again.
    """
    rules = await door.limits_admin.by(call.actor).remove_tier(tier_id)
    await call.reply_value(
        {
            "id": tier_id,
            "object": "tier.deleted",
            "deleted": True,
            "limit_rules": [rule.rule_id for rule in rules],
        }
    )


def _shown(tier: Tier) -> dict[str, object]:
    return {
        "id": tier.name,
        "object": "tier",
        "description": tier.description,
        "queue_share": tier.share,
    }
