"""What was asked and answered, who read it, and the proof that nobody changed it."""

from axon.audit.audit import MANY, Audit, Auditor, AuditParts, AuditView
from axon.audit.checkpoints import (
    Checkpoint,
    Signer,
    fingerprint,
    is_signature,
    last_checkpoint,
    read_checkpoints,
    write_checkpoints,
)
from axon.audit.errors import (
    AuditError,
    AuditUnavailable,
    LegalHold,
    OwnRequest,
    SecondAuditorNeeded,
    UnknownHold,
    UnknownPerson,
    UnknownRequest,
    UnknownTurn,
)
from axon.audit.holding import (
    Hold,
    ReadRequest,
    StandingHolds,
    exclude_erasing,
    refuse_any_held,
    refuse_held,
    standing_holds,
)
from axon.audit.opening import Opened, OpenedItem, open_kept
from axon.audit.projector import AuditProjector
from axon.audit.retention import Retention
from axon.audit.store import Access, AuditedTurn, AuditQuestion
from axon.audit.verifying import Verdict, verify_journal

__all__ = [
    "MANY",
    "Access",
    "Audit",
    "AuditError",
    "AuditParts",
    "AuditProjector",
    "AuditQuestion",
    "AuditUnavailable",
    "AuditView",
    "AuditedTurn",
    "Auditor",
    "Checkpoint",
    "Hold",
    "LegalHold",
    "Opened",
    "OpenedItem",
    "OwnRequest",
    "ReadRequest",
    "Retention",
    "SecondAuditorNeeded",
    "Signer",
    "StandingHolds",
    "UnknownHold",
    "UnknownPerson",
    "UnknownRequest",
    "UnknownTurn",
    "Verdict",
    "exclude_erasing",
    "fingerprint",
    "is_signature",
    "last_checkpoint",
    "open_kept",
    "read_checkpoints",
    "refuse_any_held",
    "refuse_held",
    "standing_holds",
    "verify_journal",
    "write_checkpoints",
]
