"""Who is asking."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom a valid API key or user pass stands for, and what it may do."""

    org_id: str
    credential_id: str
    """For a user pass, the key it was minted with."""
    user: int
    acts_for_users: bool
    """True when the caller may name the person it acts for; see Accounts.subject."""
    permissions: frozenset[str]
    """What the caller may do beside its own turns; empty for a user pass."""
    tier: str
    region: str
    pass_expires_us: int = 0
    """When the user pass ends; 0 for an API key."""
