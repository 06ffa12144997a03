"""What a client is told of each error of ours: HTTP status codes are decided here alone."""

from collections.abc import Mapping

from axon.accounts import AccountsUnavailable, InvalidCredential, Misdirected, NotPermitted
from axon.alerts import (
    AlertsUnavailable,
    TooManyEndpoints,
    UnknownAlert,
    UnknownEndpoint,
    UnusableUrl,
)
from axon.audit import (
    AuditUnavailable,
    LegalHold,
    OwnRequest,
    SecondAuditorNeeded,
    UnknownHold,
    UnknownPerson,
    UnknownRequest,
    UnknownTurn,
)
from axon.base import AxonError, UnknownId
from axon.billing import (
    BillingUnavailable,
    EventUnreadable,
    MonthWrong,
    SignatureWrong,
    UnknownInvoice,
)
from axon.conversations import (
    ColdAway,
    ConversationBusy,
    ConversationNotFound,
    HistoryUnavailable,
    ItemNotFound,
    KeyReused,
    KeysFull,
    LeaseLost,
    TailFull,
    TurnNotFound,
)
from axon.experiments import (
    ExperimentInvalid,
    ExperimentNotThen,
    ExperimentsUnavailable,
    NoResults,
    UnknownExperiment,
)
from axon.feedback import FeedbackUnavailable, UnknownFeedback
from axon.flags import (
    ChangeWrong,
    DefinitionInvalid,
    FlagChangedMeanwhile,
    FlagFromFile,
    FlagsUnavailable,
    UnknownFlag,
    UnknownSchedule,
    UnknownVersion,
)
from axon.gateway.limit_headers import limit_problem
from axon.gateway.problem import Problem, RequestRefused, unavailable
from axon.inference import QueueFull, TurnAlreadySubmitted, UnknownModel
from axon.journal import DiskLow, EntryTooLarge, JournalError, JournalFull
from axon.limits import (
    LimitReached,
    LimitsUnavailable,
    TierInUse,
    UnknownRule,
    UnknownTier,
    UnusableRule,
)
from axon.metering import (
    BatchTooLarge,
    EventWrong,
    PriceWrong,
    RangeWrong,
    UnknownEntitlement,
    UnknownMeter,
    UsageUnavailable,
)
from axon.sealing import ContentTooLarge, KeyRootUnavailable, KeyStoreBusy, KeyStoreFailed
from axon.subjects import ExportTooLarge, SubjectsUnavailable
from axon.training import TrainingUnavailable
from axon.turns import (
    CompactionFailed,
    ContextOverflow,
    Draining,
    InvalidParameter,
    NoTitle,
    Recovering,
    TooManyTurns,
    TurnFailure,
    UnsupportedItem,
)

MISTAKES_SHOWN = 20
"""Of a flag's definition, in one message."""

_UNAVAILABLE: Mapping[type[AxonError], str] = {
    AccountsUnavailable: "accounts_unavailable",
    LimitsUnavailable: "limits_unavailable",
    ColdAway: "archive_unavailable",
    HistoryUnavailable: "history_unavailable",
    LeaseLost: "conversation_lease_lost",
    TailFull: "projection_behind",
    JournalFull: "journal_full",
    DiskLow: "disk_low",
    QueueFull: "server_overloaded",
    KeysFull: "projection_behind",
    Recovering: "recovering",
    CompactionFailed: "compaction_failed",
    NoTitle: "no_title",
    TooManyTurns: "server_overloaded",
    Draining: "server_draining",
    TurnAlreadySubmitted: "server_overloaded",
    KeyStoreBusy: "key_store_busy",
    KeyStoreFailed: "key_store_unavailable",
    KeyRootUnavailable: "key_root_unavailable",
    JournalError: "journal_unavailable",
    UsageUnavailable: "usage_unavailable",
    BillingUnavailable: "billing_unavailable",
    AlertsUnavailable: "alerts_unavailable",
    FlagsUnavailable: "flags_unavailable",
    FeedbackUnavailable: "feedback_unavailable",
    AuditUnavailable: "audit_unavailable",
    SubjectsUnavailable: "privacy_unavailable",
    TrainingUnavailable: "training_unavailable",
    ExperimentsUnavailable: "experiments_unavailable",
}
"""The first that fits; the journal's own kinds stand before it."""

_WRONG: Mapping[type[AxonError], str] = {
    EventUnreadable: "invalid_event",
    ExportTooLarge: "export_too_large",
    InvalidParameter: "invalid_type",
    MonthWrong: "invalid_value",
    PriceWrong: "invalid_value",
    RangeWrong: "invalid_value",
    SignatureWrong: "invalid_signature",
    TooManyEndpoints: "too_many_webhooks",
    UnusableRule: "invalid_value",
}
"""Requests that are wrong, and no more is to be said than their message."""

_NOT_FOUND = (
    ConversationNotFound,
    ItemNotFound,
    NoResults,
    TurnNotFound,
    UnknownAlert,
    UnknownEndpoint,
    UnknownEntitlement,
    UnknownFeedback,
    UnknownExperiment,
    UnknownFlag,
    UnknownHold,
    UnknownId,
    UnknownInvoice,
    UnknownMeter,
    UnknownPerson,
    UnknownRequest,
    UnknownRule,
    UnknownSchedule,
    UnknownTier,
    UnknownTurn,
    UnknownVersion,
)

_ONCE = ((b"x-should-retry", b"false"),)
"""The SDK would repeat a 409, and get it again."""

_CONFLICTS: Mapping[type[AxonError], str] = {
    ExperimentNotThen: "experiment_not_then",
    FlagChangedMeanwhile: "flag_changed",
    FlagFromFile: "flag_from_file",
    LegalHold: "legal_hold",
    OwnRequest: "own_request",
}
"""Refused for how things stand, and again if it is repeated."""


def problem_of(error: AxonError) -> Problem:
    """Return what a client is told of an error of ours."""
    message = str(error)
    if isinstance(error, RequestRefused):
        return error.problem
    if isinstance(error, InvalidCredential):
        return Problem(status=401, message="Incorrect API key provided.", code="invalid_api_key")
    if isinstance(error, Misdirected):
        return _problem_of_misdirected(error)
    if isinstance(error, LimitReached):
        return limit_problem(error)
    if isinstance(error, DefinitionInvalid | ExperimentInvalid):
        return _problem_of_definition(error)
    if isinstance(error, ChangeWrong):
        return Problem(status=400, message=message, code="invalid_value")
    if (code := _CONFLICTS.get(type(error))) is not None:
        return Problem(status=409, message=message, kind="conflict_error", code=code, beside=_ONCE)
    if isinstance(error, TierInUse):
        return Problem(status=409, message=message, kind="conflict_error", code="tier_in_use")
    if isinstance(error, UnusableUrl):
        return Problem(status=400, message=message, code="unusable_url", param="url")
    if isinstance(error, NotPermitted | SecondAuditorNeeded):
        code = "not_permitted" if isinstance(error, NotPermitted) else "second_auditor_needed"
        return Problem(status=403, message=message, kind="permission_error", code=code)
    if isinstance(error, UnknownModel):
        message = f"The model `{error.detail}` does not exist or you do not have access to it."
        return Problem(status=404, message=message, code="model_not_found", param="model")
    if isinstance(error, _NOT_FOUND):
        return Problem(status=404, message=message)
    if isinstance(error, ConversationBusy):
        return Problem(
            status=409,
            message="Another turn of this conversation is still running.",
            kind="conflict_error",
            code="conversation_busy",
            retry_after_ms=error.retry_after_ms,
        )
    if isinstance(error, ContextOverflow):
        code = "context_length_exceeded"
        return Problem(status=400, message=message, code=code, param="input")
    if isinstance(error, UnsupportedItem):
        return Problem(status=400, message=message, code="unsupported_value", param="input")
    if isinstance(error, EventWrong):
        where = f"events[{error.index}].{error.member}".rstrip(".")
        return Problem(status=400, message=message, code="invalid_event", param=where)
    if isinstance(error, BatchTooLarge):
        return Problem(status=413, message=message, code="batch_too_large")
    if isinstance(error, ContentTooLarge | EntryTooLarge):
        return Problem(status=413, message=message, code="request_too_large")
    if isinstance(error, KeyReused):
        return Problem(status=422, message=message, code="idempotency_key_reused")
    for kind, code in _WRONG.items():
        if isinstance(error, kind):
            return Problem(status=400, message=message, code=code)
    for kind, code in _UNAVAILABLE.items():
        if isinstance(error, kind):
            return unavailable(message, code)
    return Problem(status=500, message="The server failed.", kind="server_error")


def _problem_of_definition(error: DefinitionInvalid | ExperimentInvalid) -> Problem:
    """Return everything that is wrong with flags or an experiment.

    `param` is where the first of it stands.
    """
    shown = [f"{one.path}: {one.message}" for one in error.errors[:MISTAKES_SHOWN]]
    left = len(error.errors) - len(shown)
    message = "; ".join([*shown, *([f"and {left} more"] if left else [])]) + "."
    path = error.errors[0].path
    code = "invalid_flag" if isinstance(error, DefinitionInvalid) else "invalid_experiment"
    return Problem(status=400, message=message, code=code, param=path)


def _problem_of_misdirected(error: Misdirected) -> Problem:
    """Return RFC 9110's 421, with where to ask instead in the body and in headers.

    The SDK does not repeat it, for here it would get it again.
    """
    region, base_url = error.region, error.base_url
    where = f"ask {base_url} instead" if base_url else "no cell for it is known here"
    beside = [(b"axon-region", region.encode("ascii", "replace")), *_ONCE]
    if base_url:
        beside.append((b"axon-base-url", base_url.encode()))
    return Problem(
        status=421,
        message=f"This belongs to the region {region}: {where}.",
        code="wrong_region",
        beside=tuple(beside),
        members=(("region", region), ("base_url", base_url or None)),
    )


def problem_of_failure(failure: TurnFailure) -> Problem:
    """Return what a client is told of a turn that failed before anything was shown."""
    return Problem(
        status=failure.status,
        message=failure.message,
        kind=failure.kind,
        code=failure.code,
        param=failure.param,
        retry_after_ms=failure.retry_after_ms,
    )
