"""One typed tree of settings, read from axon.toml and AXON_* variables, checked as a whole."""

from axon.app.settings.loading import SettingsWrong, load_settings
from axon.app.settings.metering import (
    EntitlementSettings,
    MeteringSettings,
    MeterSettings,
    entitlements_of,
    meters_of,
)
from axon.app.settings.tree import (
    AccountsSettings,
    ConversationsSettings,
    DatabaseSettings,
    HttpSettings,
    JournalSettings,
    LogSettings,
    Settings,
    TurnsSettings,
    ValkeySettings,
    WorkersSettings,
)
from axon.app.settings.upstreams import (
    EngineSettings,
    ModelSettings,
    UpstreamSettings,
    WildcardSettings,
)

__all__ = [
    "AccountsSettings",
    "ConversationsSettings",
    "DatabaseSettings",
    "EngineSettings",
    "EntitlementSettings",
    "HttpSettings",
    "JournalSettings",
    "LogSettings",
    "MeterSettings",
    "MeteringSettings",
    "ModelSettings",
    "Settings",
    "SettingsWrong",
    "TurnsSettings",
    "UpstreamSettings",
    "ValkeySettings",
    "WildcardSettings",
    "WorkersSettings",
    "entitlements_of",
    "load_settings",
    "meters_of",
]
