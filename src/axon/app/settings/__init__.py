"""One typed tree of settings, read from axon.toml and AXON_* variables, checked as a whole."""

from axon.app.settings.loading import SettingsWrong, load_settings
from axon.app.settings.tree import (
    AccountsSettings,
    DatabaseSettings,
    EngineSettings,
    HttpSettings,
    JournalSettings,
    LogSettings,
    ModelSettings,
    Settings,
    TurnsSettings,
    UpstreamSettings,
    ValkeySettings,
    WildcardSettings,
    WorkersSettings,
)

__all__ = [
    "AccountsSettings",
    "DatabaseSettings",
    "EngineSettings",
    "HttpSettings",
    "JournalSettings",
    "LogSettings",
    "ModelSettings",
    "Settings",
    "SettingsWrong",
    "TurnsSettings",
    "UpstreamSettings",
    "ValkeySettings",
    "WildcardSettings",
    "WorkersSettings",
    "load_settings",
]
