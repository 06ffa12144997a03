"""The ways the audit can refuse."""

from axon.base import AxonError


class AuditError(AxonError):
    """The audit could not do what was asked."""


class AuditUnavailable(AuditError):
    """The audit cannot be read or written now; please retry."""


class UnknownTurn(AuditError):
    """There is no such turn."""


class UnknownPerson(AuditError):
    """Nobody of this organization has this number; name the person by `user`."""


class UnknownRequest(AuditError):
    """There is no such request to read a turn."""


class UnknownHold(AuditError):
    """There is no such legal hold."""


class SecondAuditorNeeded(AuditError):
    """Another auditor has to approve first: ask at `/v1/audit/requests`."""


class OwnRequest(AuditError):
    """Somebody else has to approve this request."""


class LegalHold(AuditError):
    """A legal hold forbids this."""
