"""Defining tiers, rules and time zones in PostgreSQL; every process follows within a second."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from zoneinfo import available_timezones

import asyncpg

from axon.deeds import Actor, acting
from axon.limits.calendar import PERIODS
from axon.limits.errors import TierInUse, UnknownRule, UnknownTier, UnusableRule
from axon.limits.rules import APART, KINDS, MEASURES, Rule, Tier
from axon.limits.store import connected, rule_of, tier_of
from axon.stores import Postgres

TIMEOUT_S = 10.0
"""An administrator waits longer than a request does, but not for ever."""

RULES_MAX = 10_000
"""Every process holds all of them, and looks at each once for every organization."""

AMOUNT_BELOW = 2**52
"""Amount and grace together stay exact in Valkey's doubles."""

DESCRIPTION_CHARS_MAX = 500
"""Of a tier: a sentence or two, which every process holds."""

TIERS_MAX = 1000
"""Every process holds all of them."""

SHARES_MAX = 7
"""Tiers with a share of the queue: each has a row of its own there, in every lane."""

SHARED_MAX = 90
"""Percent of the queue that shares may come to; on the rest everybody else goes on."""

OVERAGE_PERCENT_MAX = 1000
"""Eleven times the price; more is a mistake."""

_ONE = "DELETE 1"
"""What PostgreSQL says of a statement that deleted one row."""

_CURRENCY = re.compile(r"[A-Z]{3}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class LimitsAdmin:
    """Every method may raise LimitsUnavailable; then the change may or may not have been made."""

    def __init__(self, postgres: Postgres, actor: Actor | None = None) -> None:
        """`postgres` is started and stopped by its owner; `actor` is who makes the changes."""
        self._postgres = postgres
        self._actor = actor

    def by(self, actor: Actor) -> "LimitsAdmin":
        """Return the same in the hands of somebody, whose changes they are."""
        return LimitsAdmin(self._postgres, actor)

    async def rules(self) -> list[Rule]:
        """Return every rule by its id."""
        async with connected(self._postgres, TIMEOUT_S) as connection:
            return [
                rule_of(row)
                for row in await connection.fetch("SELECT * FROM limits.rules ORDER BY id")
            ]

    async def tiers(self) -> list[Tier]:
        """Return every tier by its name."""
        async with connected(self._postgres, TIMEOUT_S) as connection:
            rows = await connection.fetch("SELECT * FROM limits.tiers ORDER BY name")
        return [tier_of(row) for row in rows]

    async def set_rule(self, rule: Rule) -> None:
        """Make a rule, or change the one with its id; raises UnusableRule with the reason."""
        _check(rule)
        async with self._changing() as connection:
            others = "SELECT count(*) FROM limits.rules WHERE id <> $1"
            if await connection.fetchval(others, rule.rule_id) >= RULES_MAX:
                raise UnusableRule(f"there are {RULES_MAX} rules already")
            if rule.tier and not await connection.fetchval(
                "SELECT 1 FROM limits.tiers WHERE name = $1", rule.tier
            ):
                raise UnusableRule(f"there is no tier {rule.tier}")
            await connection.execute(
                "INSERT INTO limits.rules VALUES"
                " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
                " ON CONFLICT (id) DO UPDATE SET (measure, period, currency, amount, kind, grace,"
                " tier, org_id, user_id, credential_id, model, apart, overage_percent) ="
                " (EXCLUDED.measure,"
                " EXCLUDED.period, EXCLUDED.currency, EXCLUDED.amount, EXCLUDED.kind,"
                " EXCLUDED.grace, EXCLUDED.tier, EXCLUDED.org_id, EXCLUDED.user_id,"
                " EXCLUDED.credential_id, EXCLUDED.model, EXCLUDED.apart,"
                " EXCLUDED.overage_percent)",
                rule.rule_id,
                rule.measure,
                rule.period,
                rule.currency,
                rule.amount,
                rule.kind,
                rule.grace,
                rule.tier,
                rule.org_id,
                rule.user,
                rule.credential_id,
                rule.model,
                rule.apart,
                rule.overage_percent,
            )

    async def remove_rule(self, rule_id: str) -> None:
        """Remove a rule; what was counted for it is kept. Raises UnknownRule."""
        async with self._changing() as connection:
            done = await connection.execute("DELETE FROM limits.rules WHERE id = $1", rule_id)
            if done == "DELETE 0":
                raise UnknownRule(rule_id)

    async def set_tier(self, tier: Tier) -> None:
        """Make a tier, or change the one of this name; raises UnusableRule."""
        if not _NAME.fullmatch(tier.name):
            raise UnusableRule(f"{tier.name!r} is no name of a-z, 0-9 and -")
        if tier.share < 0:
            raise UnusableRule("a share of the queue is a percentage, or 0 for none")
        if len(tier.description) > DESCRIPTION_CHARS_MAX or "\0" in tier.description:
            raise UnusableRule(f"a description has at most {DESCRIPTION_CHARS_MAX} characters")
        async with self._changing() as connection:
            known = "SELECT count(*) FROM limits.tiers WHERE name <> $1"
            if await connection.fetchval(known, tier.name) >= TIERS_MAX:
                raise UnusableRule(f"there are {TIERS_MAX} tiers already")
            if tier.share:
                others = await connection.fetch(
                    "SELECT queue_share FROM limits.tiers WHERE name <> $1 AND queue_share > 0",
                    tier.name,
                )
                if len(others) >= SHARES_MAX:
                    raise UnusableRule(f"{SHARES_MAX} tiers have a share of the queue already")
                taken = sum(row["queue_share"] for row in others)
                if taken + tier.share > SHARED_MAX:
                    raise UnusableRule(
                        f"other tiers have {taken}% of the queue, and {100 - SHARED_MAX}% is left"
                        " to those without a share"
                    )
            await connection.execute(
                "INSERT INTO limits.tiers VALUES ($1, $2, $3)"
                " ON CONFLICT (name) DO UPDATE SET"
                " (description, queue_share) = (EXCLUDED.description, EXCLUDED.queue_share)",
                tier.name,
                tier.description,
                tier.share,
            )

    async def tier(self, name: str) -> Tier:
        """Return the tier of this name; raises UnknownTier."""
        async with connected(self._postgres, TIMEOUT_S) as connection:
            row = await connection.fetchrow("SELECT * FROM limits.tiers WHERE name = $1", name)
        if row is None:
            raise UnknownTier(name)
        return tier_of(row)

    async def remove_tier(self, name: str) -> list[Rule]:
        """Remove a tier that no organization is in, and its rules; return those.

        Nobody's limits change by it. Those that Axon came with are removed like any other, and
        nothing makes them again. Raises UnknownTier, TierInUse.
        """
        async with self._changing() as connection:
            if await connection.execute("DELETE FROM limits.tiers WHERE name = $1", name) != _ONE:
                raise UnknownTier(name)
            inside = "SELECT count(*) FROM accounts.orgs WHERE tier = $1"
            count = await connection.fetchval(inside, name)
            if count:
                raise TierInUse(f"{count} in {name}")
            rules = "DELETE FROM limits.rules WHERE tier = $1 RETURNING *"
            rows = await connection.fetch(rules, name)
        return sorted(map(rule_of, rows), key=lambda rule: rule.rule_id)

    async def set_time_zone(self, org_id: str, time_zone: str) -> None:
        """Say whose days and months count for an organization; raises UnusableRule."""
        if time_zone not in available_timezones():
            raise UnusableRule(f"{time_zone!r} is no time zone like Europe/Madrid")
        async with self._changing() as connection:
            await connection.execute(
                "INSERT INTO limits.time_zones VALUES ($1, $2)"
                " ON CONFLICT (org_id) DO UPDATE SET time_zone = EXCLUDED.time_zone",
                org_id,
                time_zone,
            )

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a transaction that gives what it changes a new version."""
        async with (
            connected(self._postgres, TIMEOUT_S) as connection,
            connection.transaction(),
        ):
            if self._actor is not None:
                await acting(connection, self._actor)
            await connection.execute("UPDATE limits.version SET number = number + 1")
            yield connection


def _check(rule: Rule) -> None:
    if not _NAME.fullmatch(rule.rule_id):
        raise UnusableRule(f"{rule.rule_id!r} is no name of a-z, 0-9 and -")
    if rule.measure not in MEASURES:
        raise UnusableRule(f"it measures one of {', '.join(MEASURES)}")
    if rule.kind not in KINDS:
        raise UnusableRule(f"it is one of {', '.join(KINDS)}")
    if rule.measure == "concurrent" and rule.period:
        raise UnusableRule("concurrent turns have no period")
    if rule.measure != "concurrent" and rule.period not in PERIODS:
        raise UnusableRule(f"its period is one of {', '.join(PERIODS)}")
    if rule.measure == "money" and not _CURRENCY.fullmatch(rule.currency):
        raise UnusableRule("money has a currency of three capitals, as USD")
    if rule.measure != "money" and rule.currency:
        raise UnusableRule("only money has a currency")
    if not 0 <= rule.amount < AMOUNT_BELOW or not 0 <= rule.grace < AMOUNT_BELOW:
        raise UnusableRule(f"amount and grace lie between 0 and {AMOUNT_BELOW - 1}")
    if rule.overage_percent and (rule.kind != "overage" or rule.measure == "concurrent"):
        raise UnusableRule("only what goes beyond a limit of kind overage has a price")
    if not 0 <= rule.overage_percent <= OVERAGE_PERCENT_MAX:
        raise UnusableRule(f"what goes beyond costs 0 to {OVERAGE_PERCENT_MAX} percent more")
    if set(rule.apart) - set(APART):
        raise UnusableRule(f"it counts apart by {', '.join(APART)}")
