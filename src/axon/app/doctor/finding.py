"""What a check found."""

from dataclasses import dataclass
from typing import Literal

from axon.app.folders import DataFolder
from axon.app.settings import Settings
from axon.app.up import Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    part: str
    state: Literal["ok", "warning", "broken"]
    seen: str
    advice: str = ""
    """What to do; empty when all is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The installation under examination."""

    settings: Settings
    folder: DataFolder
    running: Running | None
    """The note of a running `axon up`; None when it does not run."""
    database_url: str
    """Empty when no PostgreSQL is known."""
    valkey_url: str


def ok(part: str, seen: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(part=part, state="ok", seen=seen)


def warning(part: str, seen: str, advice: str) -> Finding:
    """Return a finding that will hurt later."""
    return Finding(part=part, state="warning", seen=seen, advice=advice)


def broken(part: str, seen: str, advice: str) -> Finding:
    """Return a finding that hurts now."""
    return Finding(part=part, state="broken", seen=seen, advice=advice)
