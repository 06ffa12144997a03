"""axon limits: what may be used, by whom."""

import click

from axon.accounts import AccountsAdmin
from axon.app.cli.asking import Asked, for_accounts, org_named, user_named
from axon.app.cli.command import ExampleGroup
from axon.app.cli.money import RATE, money
from axon.app.cli.tables import show
from axon.base import NANOS_PER_UNIT
from axon.limits import APART, KINDS, MEASURES, PERIODS, LimitsAdmin, Rule


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon limits list",
        "axon limits set acme-tokens --org acme --measure tokens --period month --amount 5000000",
        "axon limits remove acme-tokens",
        "axon limits zone acme Europe/Madrid",
    ],
)
def limits() -> None:
    """Limits: requests, tokens, concurrent turns and money, by organization, user, key or model."""


@limits.command("list", examples=["axon limits list", "axon limits list --json"])
@for_accounts
def list_limits(asked: Asked) -> None:
    """List every limit."""

    async def work(_: AccountsAdmin, admin: LimitsAdmin) -> list[Rule]:
        return await admin.rules()

    show_rules(asked.run_with_limits(work), asked.as_json)


@limits.command(
    "set",
    examples=[
        "axon limits set acme-tokens --org acme --measure tokens --period month --amount 5000000",
        "axon limits set usd --org acme --measure money --currency USD --period month --amount 250",
        "axon limits set each-user --tier free --measure concurrent --amount 2 --apart user",
        "axon limits set more --measure tokens --period day --amount 9000 --kind overage",
        "axon limits set warn --org acme --measure requests --period day --amount 1000 --kind soft",
    ],
)
@click.argument("name")
@click.option("--measure", type=click.Choice(MEASURES), required=True, help="What is counted.")
@click.option("--period", type=click.Choice(PERIODS), default=None, help="Over how long.")
@click.option("--amount", type=RATE, required=True, help="How much; of money like 0.25.")
@click.option("--currency", default="", help="Of money: the currency of the prices it is about.")
@click.option("--kind", type=click.Choice(KINDS), default="hard", help="What happens beyond it.")
@click.option("--grace", type=RATE, default=0, help="How much more a hard limit still admits.")
@click.option(
    "--overage-percent", type=int, default=0, help="Of kind overage: how much dearer it is beyond."
)
@click.option("--tier", default="", help="Of organizations of this tier; else of all tiers.")
@click.option("--org", default="", help="Of this organization, by name or id; else of all.")
@click.option("--user", default="", help="Of this user of the organization.")
@click.option("--key", default="", help="Of this API key, by its id.")
@click.option("--model", default="", help="Of this model.")
@click.option("--apart", type=click.Choice(APART), multiple=True, help="Each has its own count.")
@for_accounts
def set_limit(asked: Asked, name: str, **given: str | int | tuple[str, ...] | None) -> None:
    """Make a limit, or change the one of this name; it counts within a second."""

    async def work(accounts: AccountsAdmin, admin: LimitsAdmin) -> list[Rule]:
        org = await org_named(accounts, str(given["org"])) if given["org"] else None
        user = -1
        if given["user"]:
            if org is None:
                raise click.UsageError("--user needs --org")
            user = (await user_named(accounts, org, str(given["user"]))).user
        rule = Rule(
            rule_id=name,
            measure=str(given["measure"]),
            period=str(given["period"] or ""),
            currency=str(given["currency"]),
            amount=_counted("--amount", given["amount"], given["measure"]),
            kind=str(given["kind"]),
            grace=_counted("--grace", given["grace"], given["measure"]),
            overage_percent=_number(given["overage_percent"]),
            tier=str(given["tier"]),
            org_id="" if org is None else org.org_id,
            user=user,
            credential_id=str(given["key"]),
            model=str(given["model"]),
            apart=_names(given["apart"]),
        )
        await admin.set_rule(rule)
        return [rule]

    show_rules(asked.run_with_limits(work), asked.as_json)


def _counted(option: str, nano: object, measure: object) -> int:
    """Return an amount as rules have it: nano-units of money, a whole number of anything else."""
    assert isinstance(nano, int)
    if measure == "money":
        return nano
    whole, rest = divmod(nano, NANOS_PER_UNIT)
    if rest:
        raise click.UsageError(f"{option} is a whole number, but for --measure money")
    return whole


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _names(value: object) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return value


@limits.command("remove", examples=["axon limits remove acme-tokens", "axon limits list"])
@click.argument("name")
@for_accounts
def remove_limit(asked: Asked, name: str) -> None:
    """Remove a limit; what was counted for it is kept."""

    async def work(_: AccountsAdmin, admin: LimitsAdmin) -> list[Rule]:
        removed = [rule for rule in await admin.rules() if rule.rule_id == name]
        await admin.remove_rule(name)
        return removed

    show_rules(asked.run_with_limits(work), asked.as_json)


@limits.command(
    "zone", examples=["axon limits zone acme Europe/Madrid", "axon limits zone acme UTC"]
)
@click.argument("org")
@click.argument("time_zone")
@for_accounts
def set_zone(asked: Asked, org: str, time_zone: str) -> None:
    """Say in which time zone an organization's days and months begin; else in UTC."""

    async def work(accounts: AccountsAdmin, admin: LimitsAdmin) -> None:
        await admin.set_time_zone((await org_named(accounts, org)).org_id, time_zone)

    asked.run_with_limits(work)
    if not asked.as_json:
        click.echo(f"The days and months of {org} are those of {time_zone}.")


def _amount(amount: int, rule: Rule) -> str:
    return f"{money(amount)} {rule.currency}" if rule.measure == "money" else f"{amount:,}"


def show_rules(found: list[Rule], as_json: bool) -> None:
    """Print rules, as JSON or as a table."""
    columns = {
        "Limit": [rule.rule_id for rule in found],
        "Measure": [rule.measure for rule in found],
        "Period": [rule.period for rule in found],
        "Amount": [_amount(rule.amount, rule) for rule in found],
        "Kind": [rule.kind for rule in found],
        "Grace": [_amount(rule.grace, rule) if rule.grace else "" for rule in found],
        "Overage": [f"+{one.overage_percent}%" if one.overage_percent else "" for one in found],
        "Tier": [rule.tier for rule in found],
        "Organization": [rule.org_id for rule in found],
        "User": [f"{rule.user:016x}" if rule.user >= 0 else "" for rule in found],
        "Key": [rule.credential_id for rule in found],
        "Model": [rule.model for rule in found],
        "Apart": [", ".join(rule.apart) for rule in found],
    }
    show(found, columns, as_json)
