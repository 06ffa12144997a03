"""The kinds of access that routes have: whom each lets in, and why it lets in nobody else."""

from dataclasses import dataclass

from axon.accounts import NotPermitted, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Whom a route lets in; one that says nothing lets in nobody."""

    everybody: bool = False
    """Every key and pass. What such a route reaches is the caller's own, and what is of people for
    whom the key acts: an id of anybody else's is a 404."""
    acting: bool = False
    """Keys that act for users: they see what is of all people of their organization anyway."""
    permissions: frozenset[str] = frozenset()
    """Keys of users with one of these permissions; never a pass."""

    def admits(self, caller: Principal) -> bool:
        """Return whether the caller may come in."""
        if self.everybody or (self.acting and caller.acts_for_users):
            return True
        return not caller.pass_expires_us and not self.permissions.isdisjoint(caller.permissions)

    def require(self, caller: Principal) -> None:
        """Raise NotPermitted for who may not come in."""
        if not self.admits(caller):
            raise NotPermitted

    @property
    def shown(self) -> str:
        """Return whom it lets in, for people."""
        if self.everybody:
            return "any key or pass"
        names = [f"`{name}`" for name in sorted(self.permissions)]
        return ", ".join(["acts for users"] * self.acting + names) or "nobody"


PERSON = Access(everybody=True)

ACTING = Access(acting=True)

USAGE = Access(acting=True, permissions=frozenset({"usage", "admin"}))
"""All of an organization's usage and meters."""

INVOICES = Access(acting=True, permissions=USAGE.permissions | {"billing"})

WEBHOOKS = Access(permissions=frozenset({"alerts", "admin"}))
"""Where an organization's alerts are sent. A key that acts for users may not for that alone: a
webhook makes Axon speak to a server."""

ALERTS = Access(acting=True, permissions=USAGE.permissions | WEBHOOKS.permissions)

EVENTS = Access(acting=True, permissions=frozenset({"events", "admin"}))
"""Sending outside events: what is sent is billed, so to see usage is not enough."""

FLAGS = Access(permissions=frozenset({"flags"}))
"""Flags and experiments of the whole installation. Neither to act for users nor to be an `admin` of
one organization is enough: what is changed, as a system prompt, is changed for everybody."""

LIMITS = Access(permissions=frozenset({"limits"}))
"""Rules and tiers of the whole installation, which also name other organizations."""

TURNS = Access(permissions=frozenset({"auditor", "operator"}))
"""Which turns an organization had, without what was said in them."""

CONTENT = Access(permissions=frozenset({"auditor"}))
"""What people said, which is written down each time. No other permission is enough."""

OFFICERS = Access(permissions=frozenset({"privacy_officer"}))
"""Legal holds, and the data of anybody of the organization."""

WATCHED = Access(permissions=CONTENT.permissions | OFFICERS.permissions)
"""Who read what, and what is held."""

JUDGED = Access(acting=True, permissions=frozenset({"auditor", "operator", "trainer"}))
"""That answers of the whole organization were good or bad. What people wrote is shown to the keys
that act for them alone, and to auditors with the turn."""

TRAINERS = Access(permissions=frozenset({"trainer"}))
"""Examples for models, redacted, of people who agreed; nothing as it was said."""

ALLOWING = Access(permissions=OFFICERS.permissions | {"admin"})
"""Whether an organization's people can be in such examples at all."""

PRICES = Access(permissions=frozenset({"prices"}))
"""What models cost everybody, and each organization."""

MONITOR = Access(permissions=frozenset({"monitor"}))
"""How the installation is, with its metrics: sums over all organizations."""

_ALL = (USAGE, INVOICES, WEBHOOKS, EVENTS, FLAGS, LIMITS, PRICES, TURNS, WATCHED, JUDGED, MONITOR)

PERMISSIONS: frozenset[str] = frozenset().union(*(one.permissions for one in _ALL))
"""Every permission there is. A user can be given no other, which would be a mistyped one."""
