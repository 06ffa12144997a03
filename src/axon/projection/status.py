"""What the projector tells the other processes of its node: a small file, once a second."""

from pathlib import Path
from threading import get_native_id

import msgspec

from axon.telemetry import gauge

_parked = gauge(
    "axon_projection_parked_records",
    "Records of the whole database that a room does not have, by why.",
    ("state",),
)

_STATUS_FILE = "projector.json"


class JournalLag(msgspec.Struct, frozen=True, kw_only=True):
    """How one journal is coming along."""

    instance: str
    durable_through: int = 0
    projected_through: int = 0
    error: str = ""
    """Why this journal stands still; empty when it does not."""


class ProjectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far PostgreSQL is behind the journals of this node."""

    at_us: int
    """When this was written; an old file means that no projector runs."""
    lag_records: int
    lag_seconds: float
    """For how long some journal has not been caught up with."""
    parked: int
    """Records, of the whole database, that no replay by itself will bring in."""
    waiting: int
    """Records that wait for a predecessor and are tried again by themselves."""
    last_error: str
    journals: list[JournalLag]


def write_status(root: Path, status: ProjectorStatus) -> None:
    """Replace the file in one step, and count what is parked; blocks."""
    _parked.labels("parked").set(status.parked - status.waiting)
    _parked.labels("waiting").set(status.waiting)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = root / _STATUS_FILE
    unfinished = path.with_suffix(f".{get_native_id()}.new")  # a second projector writes its own
    unfinished.write_bytes(msgspec.json.encode(status))
    unfinished.replace(path)


def read_status(root: Path) -> ProjectorStatus | None:
    """Return what the projector last said, None when it never did; blocks."""
    try:
        data = (root / _STATUS_FILE).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(data, type=ProjectorStatus)
