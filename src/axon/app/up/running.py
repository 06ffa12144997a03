"""The note in the data folder that says what runs: for `axon chat`, `axon doctor` and scripts."""

import os
from pathlib import Path

import msgspec

from axon.app.folders import DataFolder


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A running installation: its supervisor, its address and its processes by role."""

    pid: int
    base_url: str
    pids: dict[str, list[int]]
    upstream_url: str = ""
    """Its own engine, or --upstream; empty when the settings name the upstreams."""


def write_running(folder: DataFolder, running: Running) -> None:
    """Replace the note; a reader sees the old one or the new one."""
    fresh = folder.running.with_suffix(".new")
    with open(fresh, "wb", opener=_private) as file:
        file.write(msgspec.json.encode(running))
    fresh.rename(folder.running)


def read_running(folder: DataFolder) -> Running | None:
    """Return the last note, or None when there is none; what it describes may have ended."""
    try:
        return msgspec.json.decode(folder.running.read_bytes(), type=Running)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _private(path: str | Path, flags: int) -> int:
    return os.open(path, flags, 0o600)
