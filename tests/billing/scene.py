"""Turns of some months, projected as the projector does it: with the cursor of their journal."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from axon.billing import Invoice, Invoices
from axon.metering import MeteringProjector, Price, PriceBook, Rates
from axon.projection import Positioned
from axon.records import TokenUsage
from tests.metering.scene import End, ended, price

PRICE = price()
RATES = Rates(input=2_500_000_001, cache_read=250_000_000, output=10_000_000_000)


class SetClock:
    """Says the time it was set to."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self._now_us = us(text)

    def now_us(self) -> int:
        return self._now_us

    def monotonic(self) -> float:
        return time.monotonic()


def us(text: str) -> int:
    """Return an instant like 2026-10-31T23:59:59.999999, in UTC unless it says otherwise."""
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // (
        datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    )


class Journal:
    """A journal's turns on their way to PostgreSQL."""

    def __init__(
        self, database: str, prices: Sequence[Price] = (PRICE,), name: str = "one"
    ) -> None:
        self.book = PriceBook(prices)
        self.name = name
        self.ends: list[End] = []
        self.parked: list[Positioned] = []
        self._database = database
        self._projected = 0

    def turn(self, at: str | int, **changes: object) -> End:
        """Write the end of a turn that was accepted then."""
        at_us = us(at) if isinstance(at, str) else at
        number = len(self.ends) + 1
        usage = changes.pop("usage", TokenUsage(input_tokens=100 + number, output_tokens=20))
        end = ended(
            f"turn_{self.name}_{number}", self.book, accepted_us=at_us, usage=usage, **changes
        )
        self.ends.append(end)
        return end

    def cost(self, *ends: End, currency: str = "USD") -> int:
        """Return what these turns cost, or all of them, by their records."""
        return sum(
            one.charge.cost_nano for one in ends or self.ends if one.charge.currency == currency
        )

    async def project(self, park: Sequence[int] = ()) -> None:
        """Bring what is new into PostgreSQL, with the cursor; records of some sequences parked."""
        new = [
            Positioned(instance=self.name, sequence=number, record=end)
            for number, end in enumerate(self.ends, 1)
            if number > self._projected
        ]
        self._projected = len(self.ends)
        connection = await asyncpg.connect(self._database)
        async with connection.transaction():
            await MeteringProjector().apply(
                connection, [one for one in new if one.sequence not in park]
            )
            for one in new:
                if one.sequence in park:
                    self.parked.append(one)
                    await connection.execute(
                        "INSERT INTO projection.parked (room, instance, sequence, conversation_id,"
                        " kind, payload, state, error)"
                        " VALUES ('metering', $1, $2, '', 0, '', 'failed', '')",
                        self.name,
                        one.sequence,
                    )
            await connection.execute(
                "INSERT INTO projection.cursors (instance, sequence) VALUES ($1, $2)"
                " ON CONFLICT (instance) DO UPDATE SET sequence = $2",
                self.name,
                self._projected,
            )
        await connection.close()

    async def replay_parked(self) -> None:
        connection = await asyncpg.connect(self._database)
        async with connection.transaction():
            await MeteringProjector().apply(connection, self.parked)
            await connection.execute("DELETE FROM projection.parked")
        await connection.close()
        self.parked.clear()


async def set_zone(database: str, org_id: str, zone: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO limits.time_zones VALUES ($1, $2)"
        " ON CONFLICT (org_id) DO UPDATE SET time_zone = $2",
        org_id,
        zone,
    )
    await connection.close()


async def followed(invoices: Invoices, invoice: Invoice) -> dict[int, list[str]]:
    """Return the turns of every line, having checked them against what the line says."""
    turns: dict[int, list[str]] = {}
    for line in invoice.lines:
        found = [turn async for turn in invoices.turns_of(invoice, line.line)]
        assert sum(turn.quantity for turn in found) == line.quantity
        for place in line.positions:
            there = {turn.sequence for turn in found if turn.instance == place.instance}
            assert len(there) == place.turns
            assert (min(there), max(there)) == (place.first_sequence, place.last_sequence)
        assert len({(turn.instance, turn.sequence) for turn in found}) == sum(
            place.turns for place in line.positions
        )
        if line.kind in ("overage", "correction"):
            assert sum(turn.cost_nano for turn in found) == line.amount_nano
        turns[line.line] = [turn.turn_id for turn in found]
    return turns
