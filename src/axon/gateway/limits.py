"""`GET /v1/limits` and the administration of rules at `/v1/limit_rules`."""

from axon.accounts import NotPermitted
from axon.base import MICROS_PER_SECOND
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import member, required
from axon.gateway.problem import refuse
from axon.limits import Asked, Rule, RuleState


async def get_limits(door: Door, call: Call) -> None:
    """Answer with the caller's limits: what each allows, what is used, and when it begins anew."""
    caller = call.caller
    asked = Asked(
        org_id=caller.org_id,
        tier=caller.tier,
        user=caller.user,
        credential_id=caller.credential_id,
        model=call.query().get("model", ""),
        at_us=door.clock.now_us(),
    )
    states = await door.limits.states(asked)
    await call.reply_value(
        {"object": "list", "tier": caller.tier, "data": [_state_shown(one) for one in states]}
    )


async def list_rules(door: Door, call: Call) -> None:
    """Answer with every rule; wants the permission `limits`."""
    rules = await door.limits_admin.rules()
    await call.reply_value({"object": "list", "data": [_rule_shown(rule) for rule in rules]})


async def set_rule(door: Door, call: Call) -> None:
    """Make a rule, or change the one with its id; wants the permission `limits`."""
    _, fields = await call.fields(door.options.body_bytes_max)
    org_id = member(fields, "org_id", str) or ""
    rule = Rule(
        rule_id=required(fields, "id", str),
        measure=required(fields, "measure", str),
        period=member(fields, "period", str) or "",
        currency=member(fields, "currency", str) or "",
        amount=required(fields, "amount", int),
        kind=member(fields, "kind", str) or "hard",
        grace=member(fields, "grace", int) or 0,
        overage_percent=member(fields, "overage_percent", int) or 0,
        tier=member(fields, "tier", str) or "",
        org_id=org_id,
        user=_subject(door, call, org_id, member(fields, "user", str)),
        credential_id=member(fields, "key_id", str) or "",
        model=member(fields, "model", str) or "",
        apart=tuple(member(fields, "apart", list[str]) or ()),
    )
    await door.limits_admin.by(call.actor).set_rule(rule)
    await call.reply_value(_rule_shown(rule))


async def remove_rule(door: Door, call: Call, rule_id: str) -> None:
    """Remove a rule; wants the permission `limits`."""
    await door.limits_admin.by(call.actor).remove_rule(rule_id)
    await call.reply_value({"id": rule_id, "object": "limit_rule.deleted", "deleted": True})


def _subject(door: Door, call: Call, org_id: str, user: str | None) -> int:
    """Return whom a rule is about; -1 for everybody. Only a key that acts for users names others'.

    A person's number is of its organization, so the rule must name that: the caller's own.
    """
    if not user:
        return -1
    if org_id != call.caller.org_id:
        raise refuse("Invalid 'user': 'org_id' must be your own organization.", param="user")
    if not call.caller.acts_for_users:
        raise NotPermitted
    return door.accounts.subject(call.caller, user)


def _state_shown(state: RuleState) -> dict[str, object]:
    return {
        "object": "limit",
        "id": state.rule_id,
        "measure": state.measure,
        "period": state.period or None,
        "currency": state.currency or None,
        "kind": state.kind,
        "overage_percent": state.overage_percent,
        "amount": state.amount,
        "used": state.used,
        "remaining": state.remaining,
        "resets_at": state.resets_us // MICROS_PER_SECOND or None,
    }


def _rule_shown(rule: Rule) -> dict[str, object]:
    return {
        "object": "limit_rule",
        "id": rule.rule_id,
        "measure": rule.measure,
        "period": rule.period or None,
        "currency": rule.currency or None,
        "amount": rule.amount,
        "kind": rule.kind,
        "grace": rule.grace,
        "overage_percent": rule.overage_percent,
        "tier": rule.tier or None,
        "org_id": rule.org_id or None,
        "user": None if rule.user < 0 else f"{rule.user:016x}",
        "key_id": rule.credential_id or None,
        "model": rule.model or None,
        "apart": list(rule.apart),
    }
