"""`/v1/prices`: what models cost, since when and for whom, for who may set prices."""

from axon.base import MICROS_PER_SECOND
from axon.gateway.call import Call
from axon.gateway.door import Door
from axon.gateway.members import member, required
from axon.gateway.price_shapes import (
    PricePage,
    PriceRates,
    PriceTier,
    change_shown,
    price_shown,
    read_tiers,
)
from axon.gateway.problem import refuse
from axon.metering import Price
from axon.turns import Fields

_SECONDS_MAX = 2**33
"""In the year 2242."""


async def list_prices(door: Door, call: Call) -> None:
    """Answer with every price there is, those that ended too; wants the permission `prices`."""
    found = await door.prices.list_all()
    await call.reply_value(PricePage("list", [price_shown(price) for price in found]))


async def set_price(door: Door, call: Call) -> None:
    """Set a model's price; the one before it ends where this begins. Wants `prices`.

    What was charged stays as it is.
    """
    _, fields = await call.fields(door.options.body_bytes_max)
    begins_us, ends_us = (_micros(fields, name) for name in ("effective_from", "effective_to"))
    price = Price(
        price_id="",
        model=required(fields, "model", str),
        org_id=member(fields, "org_id", str) or "",
        effective_from_us=begins_us or door.clock.now_us(),
        effective_to_us=ends_us,
        currency=member(fields, "currency", str) or "USD",
        rates=required(fields, "rates", PriceRates).read(),
        per_request=member(fields, "per_request_nano", int) or 0,
        tiers=read_tiers(member(fields, "tiers", list[PriceTier]) or []),
        source=member(fields, "source", str) or "the API",
    )
    done = await door.prices.by(call.actor).set_all([price])
    await call.reply_value(change_shown(done))


def _micros(fields: Fields, name: str) -> int:
    """Return an instant in microseconds; 0 where none is named."""
    seconds = member(fields, name, int) or 0
    if not 0 <= seconds <= _SECONDS_MAX:
        message = f"Invalid value for '{name}': seconds since 1970 are wanted."
        raise refuse(message, param=name, code="invalid_value")
    return seconds * MICROS_PER_SECOND
