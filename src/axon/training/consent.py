"""START HERE: who agreed, and what that allows. Nobody who was not asked has agreed."""

from dataclasses import dataclass
from typing import Literal

from axon.audit import MANY, Audit, Auditor
from axon.base import Clock, until_done
from axon.journal import Journal
from axon.records import TrainingConsent, encode
from axon.stores import Postgres, PostgresAway
from axon.training.errors import TrainingUnavailable, Unusable
from axon.training.store import read_consent

QUERY_TIMEOUT_S = 2.0

Policy = Literal["off", "opted_in", "all"]
"""Of an organization: nobody, who said yes, or everybody who did not say no."""

YES, NO = "yes", "no"

_STRICT_REGION = "eu"
"""Whoever is kept there must have said yes themself, whatever the organization allows."""


def basis(policy: str, consent: str, region: str) -> str:
    """Return why something may be used, as the manifest counts it; raise Unusable."""
    if policy not in ("opted_in", "all"):
        raise Unusable("organization_off")
    if consent == NO:
        raise Unusable("refused")
    if consent == YES:
        return "opted_in"
    if policy == "all" and not region.startswith(_STRICT_REGION):
        return "organization"
    raise Unusable("not_asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentParts:
    """What consents work with; opened and closed by their owner."""

    postgres: Postgres
    journal: Journal
    audit: Audit
    clock: Clock


class Consents:
    """Takes what people and organizations allow into the journal; one per serving process."""

    def __init__(self, parts: ConsentParts) -> None:
        """Nothing is asked yet."""
        self._parts = parts

    async def set_policy(self, who: Auditor, policy: Policy) -> None:
        """Say what an organization allows; durable on return. Raises JournalError."""
        await self._parts.audit.log(who, "training_policy", MANY, [policy])
        await self._append(who.org_id, MANY, policy)

    async def say(self, who: Auditor, user: int, *, agreed: bool) -> None:
        """Say what a person allows; durable on return. Raises JournalError."""
        consent = YES if agreed else NO
        await self._parts.audit.log(who, "training_consent", user, [consent])
        await self._append(who.org_id, user, consent)

    async def policy(self, org_id: str) -> str:
        """Return what the organization allows; raises TrainingUnavailable."""
        return await self._read(org_id, MANY) or "off"

    async def of(self, org_id: str, user: int) -> bool | None:
        """Return what a person said, None for nothing; raises TrainingUnavailable."""
        said = await self._read(org_id, user)
        return None if not said else said == YES

    async def _append(self, org_id: str, user: int, consent: str) -> None:
        parts = self._parts
        record = TrainingConsent(
            org_id=org_id, user=user, consent=consent, at_us=parts.clock.now_us()
        )
        await until_done(parts.journal.append(*encode(record)))

    async def _read(self, org_id: str, user: int) -> str:
        try:
            async with self._parts.postgres.connection(QUERY_TIMEOUT_S) as connection:
                return await read_consent(connection, org_id, user)
        except PostgresAway as away:
            raise TrainingUnavailable(away.detail) from away
