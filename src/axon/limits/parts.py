"""What the admission of one process stands on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from axon.base import Clock, Randomness
from axon.stores import Postgres, Valkey


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsParts:
    """What the room stands on."""

    postgres: Postgres
    valkey: Valkey
    clock: Clock
    randomness: Randomness
    instance: str
    """The name of the process's journal."""
    projected: Callable[[], int]
    """Through which entry of that journal PostgreSQL has it, as far as is known here."""
    snapshot: Path
    processes: int = 1
    """How many share what is counted, while each is on its own."""
    poll_every_ms: int = 400
