"""What the oracle saw, on disk before anything else happens: its word against Axon's."""

import os
from pathlib import Path

import msgspec


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One turn the oracle asked for and how it ended for the client.

    `acknowledged` means that the client received `response.completed`. Times are the oracle's
    monotonic clock in nanoseconds; `ended_ns` is when the last event or the error arrived.
    """

    conversation: str
    mark: str
    sent_ns: int
    ended_ns: int
    acknowledged: bool
    response_id: str = ""
    text: str = ""
    degraded: str = ""
    error: str = ""
    unhinted: str = ""
    """An error that gave a persistent client no word on when to try again; it ends its attempt."""
    contradiction: str = ""
    """What a resumed stream said against what was sent before it was cut."""


class Ledger:
    """An append-only file of attempts; `write` returns after the fsync."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def write(self, attempt: Attempt) -> None:
        """Make one attempt durable; an acknowledgement counts from here on."""
        os.write(self._descriptor, msgspec.json.encode(attempt) + b"\n")
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_ledger(path: Path) -> list[Attempt]:
    """Return every attempt in the order in which they ended."""
    lines = path.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Attempt) for line in lines]
