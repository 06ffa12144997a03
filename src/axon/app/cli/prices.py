"""axon prices: what models cost, since when, and for whom."""

import re
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console

from axon.app.cli.command import ExampleGroup
from axon.app.cli.instants import INSTANT
from axon.app.cli.metering import Metering, for_metering, org_id_of
from axon.app.cli.money import RATE, money, rate_text
from axon.app.cli.tables import day, show
from axon.app.price_import import import_prices
from axon.base import SystemClock
from axon.metering import (
    Price,
    PriceChange,
    PriceFault,
    Rates,
    Rerated,
    Rerating,
    Tier,
    check_prices,
    rerate,
)

_TIER_PARTS = 3


@click.group(
    cls=ExampleGroup,
    examples=[
        "axon prices set small --input 0.25 --output 2",
        "axon prices import --models gpt-5-mini --apply",
        "axon prices check",
    ],
)
def prices() -> None:
    """Prices: what turns cost, by model and organization."""


@prices.command("list", examples=["axon prices list", "axon prices list --json"])
@for_metering
def list_prices(asked: Metering) -> None:
    """List every price there is, those that ended too."""
    found = asked.run(lambda rooms: rooms.prices.list_all())
    columns = {
        "Model": [price.model for price in found],
        "For": [price.org_id or "everyone" for price in found],
        "From": [day(price.effective_from_us) for price in found],
        "To": ["" if price.is_open else day(price.effective_to_us) for price in found],
        **_rates(found),
        "Id": [price.price_id for price in found],
    }
    show(found, columns, asked.as_json)


@prices.command(
    "set",
    examples=[
        "axon prices set small --input 0.25 --cached 0.025 --output 2",
        "axon prices set small --input 0.2 --output 1.5 --org acme --from 2027-01-01",
        "axon prices set large --input 2.5 --output 10 --tier 200000:5:15",
    ],
)
@click.argument("model")
@click.option("--input", "input_rate", type=RATE, required=True, help="For a million tokens.")
@click.option("--output", "output_rate", type=RATE, required=True, help="For a million tokens.")
@click.option("--cached", type=RATE, help="Input that was in the cache; else as other input.")
@click.option("--cache-write", type=RATE, help="Input put into the cache; else as other input.")
@click.option("--reasoning", type=RATE, help="Reasoning tokens; else as other output.")
@click.option("--request", "per_request", type=RATE, default="0", help="For each turn.")
@click.option("--tier", "tiers", multiple=True, help="TOKENS:INPUT:OUTPUT above so many input.")
@click.option("--currency", default="USD", show_default=True, help="ISO 4217.")
@click.option("--org", default="", help="Only for this organization, by name or id.")
@click.option("--from", "begins", type=INSTANT, help="Since when; else from now on.")
@click.option("--to", "ends", type=INSTANT, help="Until when; else until the next one is set.")
@for_metering
def set_price(asked: Metering, model: str, org: str, **given: Any) -> None:
    """Set a model's price; the one before it ends where this begins.

    What was charged stays as it is. A price that begins in the past counts for turns that were
    charged before only after `axon prices rerate`.
    """
    rates = Rates(
        input=given["input_rate"],
        cache_read=given["cached"],
        cache_write=given["cache_write"],
        output=given["output_rate"],
        reasoning=given["reasoning"],
    )
    price = Price(
        price_id="",
        org_id=org_id_of(asked, org) if org else "",
        model=model,
        effective_from_us=given["begins"] or SystemClock().now_us(),
        effective_to_us=given["ends"] or 0,
        currency=given["currency"],
        rates=rates,
        per_request=given["per_request"],
        tiers=tuple(_tier(text) for text in given["tiers"]),
        source="axon prices set",
    )
    done = asked.run(lambda rooms: rooms.prices.set_all([price]))
    _show_changes(done, asked.as_json)
    if not done:
        Console(stderr=True).print("[green]✓[/] it is so already")


@prices.command(
    "import",
    examples=[
        "axon prices import --models gpt-5-mini,gpt-5.4",
        "axon prices import --models small=openai/gpt-5-mini --apply",
    ],
)
@click.option("--models", default="", help="NAME or NAME=[PROVIDER/]MODEL,...; else the settings'.")
@click.option("--apply", is_flag=True, help="Set them; else only show what would change.")
@for_metering
def import_(asked: Metering, models: str, apply: bool) -> None:
    """Take prices from the package genai-prices, which `pip install axon[prices]` brings."""
    names = [name for name in models.split(",") if name] or list(asked.settings.models)
    if not names:
        raise click.UsageError("The settings name no models: say which with --models.")
    imported = import_prices(names, SystemClock().now_us())
    for name in imported.unknown:
        Console(stderr=True).print(f"[yellow]![/] no price is known for {name}")
    if apply:
        done = asked.run(lambda rooms: rooms.prices.set_all(imported.prices))
    else:
        planned = asked.run(lambda rooms: rooms.prices.plan(imported.prices))
        done = [change for change in planned if change.is_needed]
    _show_changes(done, asked.as_json)
    if not apply:
        Console(stderr=True).print(f"[dim]{len(done)} would be set; --apply sets them.")


@prices.command("check", examples=["axon prices check", "axon prices check --json"])
@for_metering
def check(asked: Metering) -> None:
    """Name the settings' models without a price, prices that overlap, and prices that end."""
    found = asked.run(lambda rooms: rooms.prices.list_all())
    faults = check_prices(found, list(asked.settings.models), SystemClock().now_us())
    _show_faults(faults, asked.as_json)
    raise SystemExit(bool(faults))


@prices.command(
    "rerate",
    examples=[
        "axon prices rerate --from 2026-11-01 --model small",
        "axon prices rerate --from 2026-11-01 --to 2026-12-01 --org acme --apply",
    ],
)
@click.option("--from", "begins", type=INSTANT, required=True, help="Turns accepted since then.")
@click.option("--to", "ends", type=INSTANT, help="And before then; else until now.")
@click.option("--model", default="", help="Only turns of this model.")
@click.option("--org", default="", help="Only turns of this organization, by name or id.")
@click.option("--apply", is_flag=True, help="Append the corrections; else only show them.")
@for_metering
def rerate_turns(asked: Metering, model: str, org: str, apply: bool, **given: Any) -> None:
    """Charge turns again at the prices that are set now; show the difference by organization.

    What was charged stays; corrections are appended beside it. Done twice, the second changes
    nothing.
    """
    clock = SystemClock()
    what = Rerating(
        from_us=given["begins"],
        to_us=given["ends"] or clock.now_us(),
        model=model,
        org_id=org_id_of(asked, org) if org else "",
    )
    found = asked.run(lambda rooms: rerate(rooms.postgres, clock, what, apply=apply))
    _show_rerated(found, asked.as_json)
    if not apply:
        Console(stderr=True).print("[dim]Nothing was changed; --apply appends the corrections.")


def _tier(text: str) -> Tier:
    parts = text.split(":")
    if len(parts) != _TIER_PARTS or not re.fullmatch(r"\d{1,9}", parts[0]):
        raise click.UsageError(f"--tier is TOKENS:INPUT:OUTPUT, not {text!r}.")
    rates = [RATE.convert(part, None, None) for part in parts[1:]]
    return Tier(above_input_tokens=int(parts[0]), rates=Rates(input=rates[0], output=rates[1]))


def _rates(found: Sequence[Price]) -> dict[str, list[str]]:
    return {
        "Input": [rate_text(price.rates.input) for price in found],
        "Cached": [rate_text(price.rates.cache_read) for price in found],
        "Output": [rate_text(price.rates.output) for price in found],
        "Tiers": [str(len(price.tiers) or "") for price in found],
        "Currency": [price.currency for price in found],
    }


def _show_changes(changes: Sequence[PriceChange], as_json: bool) -> None:
    found = [change.price for change in changes]
    before = [change.ends for change in changes]
    columns = {
        "Model": [price.model for price in found],
        "For": [price.org_id or "everyone" for price in found],
        "From": [day(price.effective_from_us) for price in found],
        "Input before": [rate_text(old.rates.input if old else None) for old in before],
        "Output before": [rate_text(old.rates.output if old else None) for old in before],
        **_rates(found),
        "Source": [price.source for price in found],
    }
    show(changes, columns, as_json)


def _show_faults(faults: Sequence[PriceFault], as_json: bool) -> None:
    if not faults and not as_json:
        Console(stderr=True).print("[green]✓[/] every model has a price, and none ends")
        return
    columns = {
        "Model": [fault.model for fault in faults],
        "For": [fault.org_id or "everyone" for fault in faults],
        "How": [fault.finding for fault in faults],
    }
    show(faults, columns, as_json)


def _show_rerated(found: Sequence[Rerated], as_json: bool) -> None:
    columns = {
        "Organization": [one.org_id for one in found],
        "Currency": [one.currency or "none" for one in found],
        "Turns": [f"{one.turns:,}" for one in found],
        "Before": [money(one.before_nano) for one in found],
        "After": [money(one.after_nano) for one in found],
        "Difference": [money(one.after_nano - one.before_nano) for one in found],
    }
    show(found, columns, as_json)
