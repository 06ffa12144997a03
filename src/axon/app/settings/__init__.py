"""One typed tree of settings, read from axon.toml and AXON_* variables, checked as a whole."""

from axon.app.settings.alerts import AlertsSettings
from axon.app.settings.archive import ArchiveSettings
from axon.app.settings.audit import AuditSettings
from axon.app.settings.flags import FlagsSettings
from axon.app.settings.keys import KeysSettings
from axon.app.settings.loading import SettingsWrong, load_settings
from axon.app.settings.metering import (
    EntitlementSettings,
    MeteringSettings,
    MeterSettings,
    entitlements_of,
    meters_of,
)
from axon.app.settings.privacy import OrgPrivacySettings, PrivacySettings, policies_of
from axon.app.settings.residency import CellSettings, ResidencySettings, cells_of
from axon.app.settings.retrieval import RetrievalSettings
from axon.app.settings.safety import SafetyLevelSettings, SafetySettings, safety_of
from axon.app.settings.scheduler import SchedulerSettings
from axon.app.settings.traces import TracesSettings
from axon.app.settings.tree import (
    AccountsSettings,
    DatabaseSettings,
    HttpSettings,
    JournalSettings,
    LogSettings,
    Settings,
    StripeSettings,
    ValkeySettings,
    WorkersSettings,
)
from axon.app.settings.turns import ConversationsSettings, TurnsSettings
from axon.app.settings.upstreams import (
    EngineSettings,
    ModelSettings,
    UpstreamSettings,
    WildcardSettings,
)
from axon.app.settings.usage_stream import UsageStreamSettings

__all__ = [
    "AccountsSettings",
    "AlertsSettings",
    "ArchiveSettings",
    "AuditSettings",
    "CellSettings",
    "ConversationsSettings",
    "DatabaseSettings",
    "EngineSettings",
    "EntitlementSettings",
    "FlagsSettings",
    "HttpSettings",
    "JournalSettings",
    "KeysSettings",
    "LogSettings",
    "MeterSettings",
    "MeteringSettings",
    "ModelSettings",
    "OrgPrivacySettings",
    "PrivacySettings",
    "ResidencySettings",
    "RetrievalSettings",
    "SafetyLevelSettings",
    "SafetySettings",
    "SchedulerSettings",
    "Settings",
    "SettingsWrong",
    "StripeSettings",
    "TracesSettings",
    "TurnsSettings",
    "UpstreamSettings",
    "UsageStreamSettings",
    "ValkeySettings",
    "WildcardSettings",
    "WorkersSettings",
    "cells_of",
    "entitlements_of",
    "load_settings",
    "meters_of",
    "policies_of",
    "safety_of",
]
