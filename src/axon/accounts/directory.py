"""What an administrator sees of organizations, users and API keys."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """An organization: the tenant everything else belongs to."""

    org_id: str
    name: str
    tier: str
    region: str
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A named user of an organization, who may hold API keys."""

    org_id: str
    user: int
    """base.user_number of the organization and the name."""
    name: str
    permissions: tuple[str, ...]
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What an API key shall be."""

    org_id: str
    user: int
    name: str
    """For people to tell their keys apart; need not be unique."""
    expires_us: int = 0
    """0 when it shall never end."""
    acts_for_users: bool = False
    """True for the back end of a chat product, which names the person it acts for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key without its secret, which nobody can show again."""

    credential_id: str
    org_id: str
    user: int
    name: str
    hint: str
    """The last characters of the secret, so that its holder recognises it."""
    acts_for_users: bool
    created_us: int
    expires_us: int
    """0 when it never ends."""
    revoked_us: int
    """0 while it is not revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """A new API key, with its secret for the only time."""

    secret: str
    key: Key
